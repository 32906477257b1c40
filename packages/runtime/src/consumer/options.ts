import {
  abortSignal,
  oneOf,
  optionProblems,
  throwProblems,
  wholeNumber,
} from '../lifecycle/options.ts'
import { assertName } from '../stream/keys.ts'
import { isStartPosition, type StartPosition } from '../stream/start-position.ts'
import { DEAD_LETTER_CAP } from '../delivery/dead-letter-fields.ts'
import { type Backoff, type BackoffOptions, resolveBackoff } from '../delivery/retry-schedule.ts'
import { DEFAULT_LATENCY_BUDGET_MS } from '../tail/pacing.ts'

export interface ConsumerOptions {
  /**
   * The name under which Redis keeps the position. At most one process at a time works under a name;
   * others with the same name stand by and take over.
   */
  readonly name: string
  /**
   * Where a name that is used for the first time begins; ignored afterwards.
   * @defaultValue 'earliest'
   */
  readonly from?: StartPosition
  /**
   * `stream`: one event at a time, in the order of the stream. `key`: events of one key in order,
   * different keys side by side, `concurrency` at a time.
   * @defaultValue 'stream'
   */
  readonly order?: 'key' | 'stream'
  /**
   * With `order: 'key'`: how many handlers run at once. Too low: slow handlers hold others up. Too
   * high: whatever the handlers use is overrun.
   * @defaultValue 16
   */
  readonly concurrency?: number
  /**
   * How long after its last sign of life a holder counts as dead, in milliseconds. Shorter: a dead
   * process is replaced sooner. Longer: a stalled one is not replaced without need, and beats cost less.
   * @defaultValue 4_000
   */
  readonly leaseMs?: number
  /**
   * After how many handled events the position is stored, if a third of a lease has not passed before.
   * Lower: fewer events are repeated after a crash. Higher: cheaper.
   * @defaultValue 1_000
   */
  readonly checkpointEvery?: number
  /**
   * How much later than at once an event may be delivered, in milliseconds, so that many can be
   * fetched together. The smallest of a process counts. 0 is fastest.
   * @defaultValue 35
   */
  readonly latencyBudgetMs?: number
  /** How many events may be received and not yet handled. @defaultValue 2_000 */
  readonly maxInFlight?: number
  /** How many bytes may be received and not yet handled. @defaultValue 4_194_304 (4 MiB) */
  readonly maxInFlightBytes?: number
  /**
   * How long a handler may take, in milliseconds. Longer counts as a failed attempt; the event's lane
   * waits until the handler has settled all the same.
   * @defaultValue 300_000 (5 minutes)
   */
  readonly handlerTimeoutMs?: number
  /** How often an event is tried before `onExhausted` applies. @defaultValue 5 */
  readonly maxAttempts?: number
  /** How long to wait before the next attempt. */
  readonly backoff?: BackoffOptions
  /**
   * How long a failing event may hold back its key (or the stream) before `onExhausted` applies, in
   * milliseconds.
   * @defaultValue 60_000
   */
  readonly maxHoldMs?: number
  /**
   * What to do with an event that failed for good: move it to the dead-letter stream and go on, or
   * stop the consumer.
   * @defaultValue 'dead-letter'
   */
  readonly onExhausted?: 'dead-letter' | 'stop'
  /**
   * What to do with an event that cannot be decoded or does not satisfy the schema.
   * @defaultValue 'dead-letter'
   */
  readonly onInvalid?: 'dead-letter' | 'skip' | 'stop'
  /**
   * How many dead letters may lie in this consumer's dead-letter stream; at the cap the consumer stops
   * with `DEAD_LETTER_FULL`.
   * @defaultValue 10_000
   */
  readonly maxDeadLetters?: number
  /**
   * What to do when events were removed by retention before this consumer had processed them: tell of it on
   * the channel `gap` and go on with the first event that is left, or stop with `GAP` before that one. One
   * that was stopped stops again, until it is started with `continue`.
   * @defaultValue 'continue'
   */
  readonly onGap?: 'continue' | 'stop'
  /** Closes the consumer when it fires. */
  readonly signal?: AbortSignal
}

export interface ResolvedConsumerOptions {
  readonly name: string
  readonly from: StartPosition
  readonly order: 'key' | 'stream'
  readonly concurrency: number
  readonly leaseMs: number
  readonly checkpointEvery: number
  readonly latencyBudgetMs: number
  readonly maxInFlight: number
  readonly maxInFlightBytes: number
  readonly handlerTimeoutMs: number
  readonly maxAttempts: number
  readonly backoff: Backoff
  readonly maxHoldMs: number
  readonly onExhausted: 'dead-letter' | 'stop'
  readonly onInvalid: 'dead-letter' | 'skip' | 'stop'
  readonly maxDeadLetters: number
  readonly onGap: 'continue' | 'stop'
  readonly signal: AbortSignal | undefined
}

const defaults = Object.freeze({
  from: 'earliest' as const,
  order: 'stream' as const,
  keyConcurrency: 16,
  leaseMs: 4_000,
  checkpointEvery: 1_000,
  latencyBudgetMs: DEFAULT_LATENCY_BUDGET_MS,
  maxInFlight: 2_000,
  maxInFlightBytes: 4 * 1024 * 1024,
  handlerTimeoutMs: 300_000,
  maxAttempts: 5,
  maxHoldMs: 60_000,
  onExhausted: 'dead-letter' as const,
  onInvalid: 'dead-letter' as const,
  maxDeadLetters: DEAD_LETTER_CAP,
  onGap: 'continue' as const,
})

/** @throws MillraceError `OPTIONS_INVALID`, listing all problems */
export function resolveConsumerOptions(options: ConsumerOptions): ResolvedConsumerOptions {
  assertName('The name of a consumer', options.name)
  const problems = optionProblems(options, {
    name: () => true,
    from: isStartPosition,
    order: oneOf('key', 'stream'),
    concurrency: wholeNumber(1, 10_000),
    leaseMs: wholeNumber(500, 3_600_000, 'milliseconds'),
    checkpointEvery: wholeNumber(1, 100_000),
    latencyBudgetMs: wholeNumber(0, 10_000, 'milliseconds'),
    maxInFlight: wholeNumber(1, 100_000),
    maxInFlightBytes: wholeNumber(1, 1_073_741_824, 'bytes'),
    handlerTimeoutMs: wholeNumber(10, 86_400_000, 'milliseconds'),
    maxAttempts: wholeNumber(1, 1_000),
    backoff: () => true,
    maxHoldMs: wholeNumber(0, 86_400_000, 'milliseconds'),
    onExhausted: oneOf('dead-letter', 'stop'),
    onInvalid: oneOf('dead-letter', 'skip', 'stop'),
    maxDeadLetters: wholeNumber(1, 10_000_000),
    onGap: oneOf('continue', 'stop'),
    signal: abortSignal,
  })
  const backoff = resolveBackoff(options.backoff, problems)
  if (options.order !== 'key' && options.concurrency !== undefined && options.concurrency !== 1) {
    problems.push("concurrency needs order: 'key': in stream order one handler runs at a time")
  }
  throwProblems(`Consumer ${options.name}`, problems)
  const order = options.order ?? defaults.order
  return {
    name: options.name,
    from: options.from ?? defaults.from,
    order,
    concurrency: order === 'stream' ? 1 : (options.concurrency ?? defaults.keyConcurrency),
    leaseMs: options.leaseMs ?? defaults.leaseMs,
    checkpointEvery: options.checkpointEvery ?? defaults.checkpointEvery,
    latencyBudgetMs: options.latencyBudgetMs ?? defaults.latencyBudgetMs,
    maxInFlight: options.maxInFlight ?? defaults.maxInFlight,
    maxInFlightBytes: options.maxInFlightBytes ?? defaults.maxInFlightBytes,
    handlerTimeoutMs: options.handlerTimeoutMs ?? defaults.handlerTimeoutMs,
    maxAttempts: options.maxAttempts ?? defaults.maxAttempts,
    backoff,
    maxHoldMs: options.maxHoldMs ?? defaults.maxHoldMs,
    onExhausted: options.onExhausted ?? defaults.onExhausted,
    onInvalid: options.onInvalid ?? defaults.onInvalid,
    maxDeadLetters: options.maxDeadLetters ?? defaults.maxDeadLetters,
    onGap: options.onGap ?? defaults.onGap,
    signal: options.signal,
  }
}
