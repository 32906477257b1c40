import {
  abortSignal,
  boolean,
  oneOf,
  optionProblems,
  throwProblems,
  wholeNumber,
} from '../lifecycle/options.ts'
import { isStartPosition, type StartPosition } from '../stream/start-position.ts'
import { DEFAULT_LATENCY_BUDGET_MS } from '../tail/pacing.ts'

export interface ReaderOptions {
  /**
   * Where to begin: a cursor of an earlier event (reading resumes right after it), or a start position.
   * @defaultValue 'latest'
   */
  readonly from?: string | StartPosition
  /** Ends the iteration, without an error, when it fires. */
  readonly signal?: AbortSignal
  /**
   * Whether to go on with new events once everything stored has been read; otherwise the iteration
   * ends there.
   * @defaultValue true
   */
  readonly live?: boolean
  /**
   * How much later than at once an event may be delivered, in milliseconds, so that many can be
   * fetched together. 0 is fastest and costs most when events are frequent.
   * @defaultValue 35
   */
  readonly latencyBudgetMs?: number
  /**
   * How many events may wait here for the caller to take them. Too low: many small reads. Too high:
   * memory.
   * @defaultValue 1_000
   */
  readonly bufferEvents?: number
  /** How many bytes may wait here for the caller to take them. @defaultValue 4_194_304 (4 MiB) */
  readonly bufferBytes?: number
  /**
   * What to do with an event whose payload cannot be decoded or does not satisfy the schema: end the
   * iteration with `PAYLOAD_INVALID`, or leave the event out.
   * @defaultValue 'throw'
   */
  readonly onInvalid?: 'skip' | 'throw'
  /**
   * What to do when retention has removed events after the position: tell of it on the channel `gap` and go on
   * with the first event that is left, or end the iteration with `GAP`, whose `gap.to` is an id to begin
   * after. `earliest` is wherever the stream begins, so nothing is missing there.
   * @defaultValue 'continue'
   */
  readonly onGap?: 'continue' | 'stop'
}

export interface ResolvedReaderOptions {
  readonly from: string | StartPosition
  readonly signal: AbortSignal | undefined
  readonly live: boolean
  readonly latencyBudgetMs: number
  readonly bufferEvents: number
  readonly bufferBytes: number
  readonly onInvalid: 'skip' | 'throw'
  readonly onGap: 'continue' | 'stop'
}

const defaults = Object.freeze({
  from: 'latest' as const,
  live: true,
  latencyBudgetMs: DEFAULT_LATENCY_BUDGET_MS,
  bufferEvents: 1_000,
  bufferBytes: 4 * 1024 * 1024,
  onInvalid: 'throw' as const,
  onGap: 'continue' as const,
})

/** @throws MillraceError `OPTIONS_INVALID`, listing all problems */
export function resolveReaderOptions(options: ReaderOptions): ResolvedReaderOptions {
  throwProblems(
    'Reader',
    optionProblems(options, {
      from: (v) =>
        (typeof v === 'string' && v.includes('.')) ||
        isStartPosition(v) === true ||
        "must be a cursor, 'earliest', 'latest', { id } or { timeMs }",
      signal: abortSignal,
      live: boolean,
      latencyBudgetMs: wholeNumber(0, 10_000, 'milliseconds'),
      bufferEvents: wholeNumber(1, 1_000_000),
      bufferBytes: wholeNumber(1, 1_073_741_824, 'bytes'),
      onInvalid: oneOf('skip', 'throw'),
      onGap: oneOf('continue', 'stop'),
    }),
  )
  return {
    from: options.from ?? defaults.from,
    signal: options.signal,
    live: options.live ?? defaults.live,
    latencyBudgetMs: options.latencyBudgetMs ?? defaults.latencyBudgetMs,
    bufferEvents: options.bufferEvents ?? defaults.bufferEvents,
    bufferBytes: options.bufferBytes ?? defaults.bufferBytes,
    onInvalid: options.onInvalid ?? defaults.onInvalid,
    onGap: options.onGap ?? defaults.onGap,
  }
}
