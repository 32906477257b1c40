/**
 * The state machine of a poller's migration: what its owner wants, and who acts.
 *
 * What is wanted is the **state**; `switchTo` sets it and raises the **epoch**. What happens is the
 * **mode**: where the handler's items come from. One process, which holds the poller's lease, acts in one
 * mode; when it sees an epoch that is not the one it acts under, it ends the mode, hands the position over,
 * and stores position, mode and epoch in one step that only the holder of the lease can take. So no two
 * modes act at once, in whatever process.
 */
export const migrationStates = ['poll', 'shadow', 'stream-with-fallback', 'stream'] as const
export type MigrationState = (typeof migrationStates)[number]

/**
 * Who feeds the handler. `shadow` is polling, with the stream read beside it and compared; in the state
 * `stream-with-fallback` it is `stream`, and `poll` while the stream is unhealthy.
 */
export type MigrationMode = 'poll' | 'shadow' | 'stream'

/** What the source of a poller is capable of; its processes tell when they come up. */
export interface Capability {
  /** Of its cursors; `unknown` where a position cannot be handed over. */
  readonly kind: 'border' | 'exact' | 'overlap' | 'snapshot' | 'unknown'
}

/** The truth about one poller, as it stands in Redis. */
export interface MigrationRecord {
  readonly poller: string
  readonly state: MigrationState
  /** Rises with each switch and each fallback. */
  readonly epoch: number
  readonly acting: {
    readonly mode: MigrationMode
    readonly epoch: number
  }
  /** Why the wanted state is not in force yet; '' when it is, or when nothing stands in the way. */
  readonly waiting: string
  /** Why `stream-with-fallback` polls; '' when it does not. */
  readonly fallback: string
  readonly capability: Capability | undefined
}

export interface SwitchRequest {
  readonly to: MigrationState
  readonly who: string
  readonly why: string
}

export type SwitchVerdict =
  | { readonly action: 'switch'; readonly epoch: number }
  | { readonly action: 'none'; readonly reason: string }
  | { readonly action: 'refuse'; readonly reason: string }

/** Decides about one switch; pure. */
export function decideSwitch(record: MigrationRecord, { to }: SwitchRequest): SwitchVerdict {
  if (to === record.state) return { action: 'none', reason: `it is in the state ${to} already` }
  const missing = beyondShadow(to) ? whatIsMissing(record.capability) : ''
  if (missing !== '') return { action: 'refuse', reason: missing }
  return { action: 'switch', epoch: record.epoch + 1 }
}

/** The mode that a state asks for. */
export function modeOf(state: MigrationState, fallback: string): MigrationMode {
  switch (state) {
    case 'poll':
    case 'shadow':
      return state
    case 'stream':
      return 'stream'
    case 'stream-with-fallback':
      return fallback === '' ? 'stream' : 'poll'
    default:
      return state satisfies never
  }
}

/** Whether the holder has to hand over before it may act. */
export function mustHandOver(record: MigrationRecord): boolean {
  return record.acting.epoch !== record.epoch
}

function beyondShadow(state: MigrationState): boolean {
  return state === 'stream' || state === 'stream-with-fallback'
}

function whatIsMissing(capability: Capability | undefined): string {
  if (capability === undefined) return 'no process has run this poller yet'
  if (capability.kind === 'unknown') {
    return 'its source has no cursor that can be compared with the stream, so its position cannot be handed over'
  }
  return ''
}
