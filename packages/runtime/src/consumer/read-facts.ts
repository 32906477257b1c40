import type { ReadFacts } from '../health/read-health.ts'
import type { Subscription } from '../tail/subscription.ts'
import { type ConsumerState, readPhase } from './state.ts'

/** What a consumer notes about its reading, for {@link readFacts}. */
export interface ReadingNotes {
  startedMs: number
  /** When Redis last answered a request for the lease. */
  lookedMs: number | undefined
  /** Why it has no lease, as far as that is not somebody else's having it. */
  trouble: string
}

/** What a consumer knows of itself. */
interface Reading extends Readonly<ReadingNotes> {
  readonly stream: string
  readonly name: string
  readonly state: ConsumerState
  readonly pausedBy: readonly string[]
  readonly inFlight: number
  readonly mostInFlight: number
  /** While it holds the lease. */
  readonly subscription: Subscription | undefined
}

/** What there is to judge its reading by. */
export function readFacts({ state, subscription, lookedMs, ...reading }: Reading): ReadFacts {
  const confirmed = [lookedMs, subscription?.confirmedMs].filter((ms) => ms !== undefined)
  const trouble = subscription?.trouble ?? ''
  return {
    ...reading,
    kind: 'consumer',
    phase: readPhase(state),
    isFull: subscription?.isFull ?? false,
    restedMs: subscription?.restedMs,
    confirmedMs: confirmed.length === 0 ? undefined : Math.max(...confirmed),
    trouble:
      state.is === 'stopped' ? state.error.message : trouble === '' ? reading.trouble : trouble,
    holdsLease: state.is === 'holding',
  }
}
