import { type Backoff, type BackoffOptions, resolveBackoff } from '../delivery/retry-schedule.ts'
import { DEAD_LETTER_CAP } from '../delivery/dead-letter-fields.ts'
import {
  abortSignal,
  oneOf,
  optionProblems,
  throwProblems,
  wholeNumber,
} from '../lifecycle/options.ts'
import { assertName } from '../stream/keys.ts'
import { isStartPosition, type StartPosition, startArgument } from '../stream/start-position.ts'

export interface GroupOptions {
  /** The name of the consumer group: members of one name share its events. */
  readonly name: string
  /**
   * Whether the member takes events ahead of its handlers, or only as many as {@link ConsumerGroup.ask}
   * asked for, and gives back what nobody asks for any more. On demand every delivery counts as an
   * attempt, also one whose process died, and what the dead leave is not tried one by one.
   * @defaultValue `'ahead'`
   */
  readonly take?: 'ahead' | 'on-demand'
  /** A label for this member, seen in `XINFO CONSUMERS`. @defaultValue a random one */
  readonly member?: string
  /**
   * How many handlers run at once in this member. Too low: the member waits for its handlers' I/O.
   * Too high: they fight for what they share.
   * @defaultValue 1
   */
  readonly concurrency?: number
  /** Where the group begins when this member creates it. @defaultValue `'earliest'` */
  readonly from?: StartPosition
  /**
   * How long a member that is not heard of keeps its events, in milliseconds. Too low: a stalled
   * process loses its lease and its events are handled twice. Too high: the events of a dead member
   * wait for long.
   * @defaultValue 4_000
   */
  readonly leaseMs?: number
  /**
   * The greatest number of events that this member may hold unhandled. It reads fewer while its
   * handlers are slow. Too low: throughput suffers. Too high: one member hoards what others could do.
   * @defaultValue 2_000
   */
  readonly prefetch?: number
  /**
   * The greatest size of all events that this member holds, in bytes; one event is always allowed.
   * @defaultValue 8_388_608 (8 MiB)
   */
  readonly maxInFlightBytes?: number
  /**
   * The greatest number of events that wait for their next attempt, or that were claimed from other
   * members and wait for their turn; above it nothing new is read. They are kept without payload.
   * @defaultValue 1_000
   */
  readonly maxParked?: number
  /**
   * How long a handler may run, in milliseconds; running longer counts as a failed attempt and fires
   * the handler's signal. It is not tried again before it has settled.
   * @defaultValue 300_000
   */
  readonly handlerTimeoutMs?: number
  /** How often an event is tried before `onExhausted` applies. @defaultValue 5 */
  readonly maxAttempts?: number
  /** How long a failed event waits before it is tried again. */
  readonly backoff?: BackoffOptions
  /**
   * What becomes of an event after its last attempt or an unrecoverable error: it is moved to the
   * group's dead letters, or the member stops and `done` rejects with `HANDLER_FAILED`.
   * @defaultValue `'dead-letter'`
   */
  readonly onExhausted?: 'dead-letter' | 'stop'
  /**
   * What becomes of an event that cannot be decoded or does not satisfy the schema.
   * @defaultValue `'dead-letter'`
   */
  readonly onInvalid?: 'dead-letter' | 'skip' | 'stop'
  /**
   * How many dead letters the group may have. At the cap the member stops with `DEAD_LETTER_FULL`;
   * none is ever removed to make room.
   * @defaultValue 10_000
   */
  readonly maxDeadLetters?: number
  /**
   * What to do when events were removed by retention before the group had processed them: tell of it on the
   * channel `gap` and go on, or stop with `GAP`. Each member decides for itself; one that goes on settles it
   * for all.
   * @defaultValue `'continue'`
   */
  readonly onGap?: 'continue' | 'stop'
  /** Closes the member when it fires, like `close()`. */
  readonly signal?: AbortSignal
}

export interface ResolvedGroupOptions {
  readonly name: string
  readonly take: 'ahead' | 'on-demand'
  readonly member: string
  readonly concurrency: number
  /** An id, or `latest`: only the server knows it. */
  readonly start: string
  readonly leaseMs: number
  readonly prefetch: number
  readonly maxInFlightBytes: number
  readonly maxParked: number
  readonly handlerTimeoutMs: number
  readonly maxAttempts: number
  readonly backoff: Backoff
  readonly onExhausted: 'dead-letter' | 'stop'
  readonly onInvalid: 'dead-letter' | 'skip' | 'stop'
  readonly maxDeadLetters: number
  readonly onGap: 'continue' | 'stop'
  readonly signal: AbortSignal | undefined
}

const defaults = Object.freeze({
  take: 'ahead',
  concurrency: 1,
  from: 'earliest',
  leaseMs: 4_000,
  prefetch: 2_000,
  maxInFlightBytes: 8 * 1024 * 1024,
  maxParked: 1_000,
  handlerTimeoutMs: 300_000,
  maxAttempts: 5,
  onExhausted: 'dead-letter',
  onInvalid: 'dead-letter',
  maxDeadLetters: DEAD_LETTER_CAP,
  onGap: 'continue',
} as const)

/**
 * @param randomLabel names the member where the options do not
 * @throws MillraceError `OPTIONS_INVALID`, listing all problems
 */
export function resolveGroupOptions(
  options: GroupOptions,
  randomLabel: () => string,
): ResolvedGroupOptions {
  assertName('The name of a consumer group', options?.name)
  const problems = optionProblems(options, {
    name: () => true,
    take: oneOf('ahead', 'on-demand'),
    member: (v) =>
      /^[A-Za-z0-9._-]{1,128}$/.test(String(v)) || 'must be 1 to 128 of A–Z a–z 0–9 . _ -',
    concurrency: wholeNumber(1, 10_000),
    from: isStartPosition,
    leaseMs: wholeNumber(500, 600_000, 'milliseconds'),
    prefetch: wholeNumber(1, 100_000),
    maxInFlightBytes: wholeNumber(1, 4_294_967_296, 'bytes'),
    maxParked: wholeNumber(1, 100_000),
    handlerTimeoutMs: wholeNumber(1, 86_400_000, 'milliseconds'),
    maxAttempts: wholeNumber(1, 1_000_000),
    backoff: (v) => typeof v === 'object' || 'must be an object',
    onExhausted: oneOf('dead-letter', 'stop'),
    onInvalid: oneOf('dead-letter', 'skip', 'stop'),
    maxDeadLetters: wholeNumber(0, 10_000_000),
    onGap: oneOf('continue', 'stop'),
    signal: abortSignal,
  })
  const backoff = resolveBackoff(options.backoff, problems)
  throwProblems(`Consumer group ${options.name}`, problems)
  const concurrency = options.concurrency ?? defaults.concurrency
  return Object.freeze({
    name: options.name,
    take: options.take ?? defaults.take,
    member: options.member ?? randomLabel(),
    concurrency,
    start: startArgument(options.from ?? defaults.from),
    leaseMs: options.leaseMs ?? defaults.leaseMs,
    prefetch: Math.max(options.prefetch ?? defaults.prefetch, concurrency),
    maxInFlightBytes: options.maxInFlightBytes ?? defaults.maxInFlightBytes,
    maxParked: options.maxParked ?? defaults.maxParked,
    handlerTimeoutMs: options.handlerTimeoutMs ?? defaults.handlerTimeoutMs,
    maxAttempts: options.maxAttempts ?? defaults.maxAttempts,
    backoff,
    onExhausted: options.onExhausted ?? defaults.onExhausted,
    onInvalid: options.onInvalid ?? defaults.onInvalid,
    maxDeadLetters: options.maxDeadLetters ?? defaults.maxDeadLetters,
    onGap: options.onGap ?? defaults.onGap,
    signal: options.signal,
  })
}
