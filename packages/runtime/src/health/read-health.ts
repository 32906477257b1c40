import type { Core } from '../core.ts'

/**
 * How a reader, consumer or member of a group stands:
 * - `idle`: made, not started.
 * - `starting`: Redis has not confirmed anything yet.
 * - `reading`: its reads come back.
 * - `standby`: somebody else holds the lease of its name, and Redis confirms it.
 * - `busy`: it reads nothing, because its handlers, or whoever iterates, have all they can take.
 * - `paused`: it reads nothing, because it was told so.
 * - `deaf`: it should read, and no read has come back for too long.
 * - `closing`: it takes in nothing more.
 * - `stopped`: it has ended by itself; only its owner can start it again.
 */
export type ReadState =
  | 'busy'
  | 'closing'
  | 'deaf'
  | 'idle'
  | 'paused'
  | 'reading'
  | 'standby'
  | 'starting'
  | 'stopped'

/** What reads events here, and whether it does. */
export interface ReadHealth {
  readonly stream: string
  /** The consumer or consumer group; `reader` for readers, which have no names. */
  readonly name: string
  readonly kind: 'consumer' | 'group' | 'reader'
  readonly state: ReadState
  /** Why it is not reading; empty when it is. */
  readonly reason: string
  /** How long ago Redis last answered one of its reads, or looks at the lease; undefined before that. */
  readonly confirmedAgoMs: number | undefined
  /** For how long it has been asking without an answer, also when there never was one; 0 while it need not ask. */
  readonly unansweredMs: number
  /** Whether Redis confirms its lease, however its reads do. */
  readonly holdsLease: boolean
  /** Events received and not done. */
  readonly inFlight: number
  /** How many that may be. */
  readonly mostInFlight: number
}

/** What a reader, consumer or member knows of its own reading. */
export interface ReadFacts
  extends Pick<
    ReadHealth,
    'holdsLease' | 'inFlight' | 'kind' | 'mostInFlight' | 'name' | 'stream'
  > {
  readonly phase: 'closing' | 'idle' | 'reading' | 'standby' | 'starting' | 'stopped'
  readonly pausedBy: readonly string[]
  /** Whether it asks for nothing because it has all it can take. */
  readonly isFull: boolean
  /** When it was started, by the monotonic clock. */
  readonly startedMs: number
  /** When Redis last answered; undefined before that. */
  readonly confirmedMs: number | undefined
  /** When it last began to ask again after it had all it could take; undefined if it never had. */
  readonly restedMs: number | undefined
  /** What it met last that it has not got over. */
  readonly trouble: string
}

/**
 * How long a read may be without an answer before it counts as deaf: two that time out one after the
 * other, with a little more.
 */
export function deafAfterMs(blockMs: number): number {
  return 2 * blockMs + 3_000
}

/** Judges one that reads, just now. */
export function judgeNow(
  facts: ReadFacts,
  { clock, options }: Pick<Core, 'clock' | 'options'>,
): ReadHealth {
  return judgeRead(facts, clock.monotonicMs(), deafAfterMs(options.blockMs))
}

/** Judges one that reads, at a moment of the monotonic clock. */
export function judgeRead(facts: ReadFacts, nowMs: number, patienceMs: number): ReadHealth {
  const { stream, name, kind, holdsLease, inFlight, mostInFlight, confirmedMs } = facts
  const state = stateOf(facts, nowMs, patienceMs)
  return {
    stream,
    name,
    kind,
    state,
    reason: reasonOf(state, facts, nowMs),
    confirmedAgoMs: confirmedMs === undefined ? undefined : Math.max(nowMs - confirmedMs, 0),
    unansweredMs: ASKING.has(state) ? unansweredMs(facts, nowMs) : 0,
    holdsLease,
    inFlight,
    mostInFlight,
  }
}

/** In these states an answer is to be expected. */
const ASKING: ReadonlySet<ReadState> = new Set(['deaf', 'reading', 'standby', 'starting'])

function unansweredMs({ confirmedMs, startedMs, restedMs }: ReadFacts, nowMs: number): number {
  return Math.max(nowMs - Math.max(confirmedMs ?? startedMs, restedMs ?? startedMs), 0)
}

function stateOf(facts: ReadFacts, nowMs: number, patienceMs: number): ReadState {
  const { phase, pausedBy, isFull, confirmedMs, kind, holdsLease } = facts
  switch (phase) {
    case 'closing':
    case 'idle':
    case 'stopped':
      return phase
    case 'reading':
      // Whoever asks for nothing hears nothing: then it is the lease that shows that Redis is there.
      if (kind !== 'reader' && !holdsLease) break
      if (pausedBy.length > 0) return 'paused'
      if (isFull) return 'busy'
      break
    case 'standby':
    case 'starting':
      break
    default:
      return phase satisfies never
  }
  if (unansweredMs(facts, nowMs) > patienceMs) return 'deaf'
  return confirmedMs === undefined ? 'starting' : phase
}

function reasonOf(state: ReadState, facts: ReadFacts, nowMs: number): string {
  const { pausedBy, confirmedMs, startedMs, trouble, mostInFlight } = facts
  switch (state) {
    case 'reading':
      return ''
    case 'idle':
      return 'it was not started'
    case 'starting':
      return trouble === '' ? 'Redis has not answered yet' : trouble
    case 'standby':
      return 'somebody else holds the lease'
    case 'busy':
      return `it has all it can take, up to ${mostInFlight} events`
    case 'paused':
      return `paused by ${pausedBy.join(', ')}`
    case 'deaf': {
      const seconds = Math.round((nowMs - (confirmedMs ?? startedMs)) / 1_000)
      const because = trouble === '' ? '' : `: ${trouble}`
      return `no read has come back for ${seconds} s${because}`
    }
    case 'closing':
      return 'it was closed'
    case 'stopped':
      return trouble
    default:
      return state satisfies never
  }
}
