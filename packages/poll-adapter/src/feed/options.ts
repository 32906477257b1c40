import type { Event } from '@millrace/runtime'
import {
  abortSignal,
  anObject,
  callable,
  oneOf,
  optionProblems,
  text,
  throwProblems,
  wholeNumber,
} from '../lifecycle/options.ts'
import { PollAdapterError } from '../errors.ts'
import type { CursorForm } from './cursor-form.ts'
import { positionCursor } from './position-cursor.ts'

export interface FeedOptions<Data, Item = Data> {
  /** What it is called in facts and errors. @defaultValue the name of the stream */
  readonly name?: string
  /**
   * How the endpoint writes cursors: `positionCursor()`, `timeCursor(…)`, `fieldCursor(…)`.
   * @defaultValue `positionCursor()`
   */
  readonly cursor?: CursorForm<Data>
  /**
   * What an event is in the answer; undefined leaves it out. Called once for each event while it is in
   * memory; must not depend on anything else. @defaultValue its data
   */
  readonly item?: (event: Event<Data>) => Item | undefined
  /** Where a poll without `since` begins. @defaultValue 'earliest' */
  readonly start?: 'earliest' | 'latest'
  /**
   * A cursor after which the stream is known to have everything (where the bridge began), or `beginning`
   * when it has everything that ever was. A `since` below the first event is answered only from there on;
   * otherwise it is refused with `CURSOR_EXPIRED`, because nobody knows what was before.
   * @defaultValue none
   */
  readonly completeAfter?: number | string
  /** How many items a poll gets that does not say. @defaultValue 100 */
  readonly defaultLimit?: number
  /** The greatest limit; higher ones are lowered to it. @defaultValue 1_000 */
  readonly maxLimit?: number
  /**
   * How large a page may become before it ends, in bytes of JSON; it has at least one item, and equal cursors
   * may need more. Too high: memory, when many clients fetch large pages. @defaultValue 8_388_608 (8 MiB)
   */
  readonly maxPageBytes?: number
  /**
   * How many events may share a cursor with `ties: 'whole'`, as a page takes them all. More than that
   * fails with `SOURCE_FAILED`. @defaultValue 10_000
   */
  readonly maxTie?: number
  /**
   * The longest wait in milliseconds; longer ones are lowered to it. Too high: proxies cut the
   * connection first. @defaultValue 55_000
   */
  readonly maxWaitMs?: number
  /** How many polls may wait in this process; more are refused with `BUSY`. @defaultValue 10_000 */
  readonly maxWaiting?: number
  /**
   * How many of the newest events this process keeps to answer from. Too low: pollers that ask rarely
   * cause reads of Redis. @defaultValue 10_000
   */
  readonly memoryEvents?: number
  /** How much memory they may take, in bytes of JSON. @defaultValue 16_777_216 (16 MiB) */
  readonly memoryBytes?: number
  /**
   * How much later than at once an event may arrive, in milliseconds, so that many are fetched together.
   * @defaultValue 35
   */
  readonly latencyBudgetMs?: number
  /**
   * What to do with an event that cannot be decoded: refuse polls that come to it with `PAYLOAD_INVALID`,
   * or leave it out. @defaultValue 'refuse'
   */
  readonly onInvalid?: 'refuse' | 'skip'
  /**
   * How far events may lie out of the order of their cursors, in milliseconds of stream time, with
   * `fieldCursor`: a search for an old cursor begins so much earlier. Too low: an event that was stored late is
   * skipped for pollers that come with a plain cursor from before it. Too high: slow searches.
   * @defaultValue 1_000
   */
  readonly latenessMs?: number
  /** How far a time cursor may be ahead of the clock, in milliseconds. @defaultValue 5_000 */
  readonly clockToleranceMs?: number
  /** Closes the feed when it fires. */
  readonly signal?: AbortSignal
}

export interface ResolvedFeedOptions<Data, Item> {
  readonly name: string
  readonly cursor: CursorForm<Data>
  readonly item: (event: Event<Data>) => Item | undefined
  readonly start: 'earliest' | 'latest'
  readonly completeAfter: string | undefined
  readonly defaultLimit: number
  readonly maxLimit: number
  readonly maxPageBytes: number
  readonly maxTie: number
  readonly maxWaitMs: number
  readonly maxWaiting: number
  readonly memoryEvents: number
  readonly memoryBytes: number
  readonly latencyBudgetMs: number
  readonly onInvalid: 'refuse' | 'skip'
  readonly latenessMs: number
  readonly clockToleranceMs: number
  readonly signal: AbortSignal | undefined
}

const defaults = Object.freeze({
  start: 'earliest' as const,
  defaultLimit: 100,
  maxLimit: 1_000,
  maxPageBytes: 8 * 1024 * 1024,
  maxTie: 10_000,
  maxWaitMs: 55_000,
  maxWaiting: 10_000,
  memoryEvents: 10_000,
  memoryBytes: 16 * 1024 * 1024,
  latencyBudgetMs: 35,
  onInvalid: 'refuse' as const,
  latenessMs: 1_000,
  clockToleranceMs: 5_000,
})

/** @throws PollAdapterError `OPTIONS_INVALID`, listing all problems */
export function resolveFeedOptions<Data, Item>(
  stream: string,
  options: FeedOptions<Data, Item>,
): ResolvedFeedOptions<Data, Item> {
  const problems = optionProblems(options, {
    name: text,
    cursor: anObject,
    item: callable,
    start: oneOf('earliest', 'latest'),
    completeAfter: (v) =>
      typeof v === 'string' || typeof v === 'number' || "must be a cursor or 'beginning'",
    defaultLimit: wholeNumber(1, 100_000),
    maxLimit: wholeNumber(1, 100_000),
    maxPageBytes: wholeNumber(1, 1024 ** 3, 'bytes'),
    maxTie: wholeNumber(1, 1_000_000),
    maxWaitMs: wholeNumber(0, 3_600_000, 'milliseconds'),
    maxWaiting: wholeNumber(1, 1_000_000),
    memoryEvents: wholeNumber(1, 10_000_000),
    memoryBytes: wholeNumber(1, 8 * 1024 ** 3, 'bytes'),
    latencyBudgetMs: wholeNumber(0, 10_000, 'milliseconds'),
    onInvalid: oneOf('refuse', 'skip'),
    latenessMs: wholeNumber(0, 86_400_000, 'milliseconds'),
    clockToleranceMs: wholeNumber(0, 86_400_000, 'milliseconds'),
    signal: abortSignal,
  })
  const maxLimit = options.maxLimit ?? defaults.maxLimit
  const defaultLimit = options.defaultLimit ?? Math.min(defaults.defaultLimit, maxLimit)
  if (defaultLimit > maxLimit) problems.push('defaultLimit must not be above maxLimit')
  const cursor = options.cursor ?? positionCursor()
  const completeAfter =
    options.completeAfter === undefined ? undefined : String(options.completeAfter)
  if (completeAfter !== undefined && completeAfter !== 'beginning') {
    try {
      cursor.parse(completeAfter)
    } catch {
      problems.push("completeAfter must be a cursor of the feed's own form, or 'beginning'")
    }
  }
  throwProblems('Feed', problems)
  return {
    ...defaults,
    ...definedOf(options),
    name: options.name ?? stream,
    cursor,
    // Without `item` the caller's Item is Data.
    item: options.item ?? ((event) => event.data as unknown as Item),
    completeAfter,
    defaultLimit,
    maxLimit,
    signal: options.signal,
  }
}

/** Without what is undefined, which would cover the defaults. */
function definedOf<T extends object>(options: T): Omit<T, 'signal'> {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as Omit<T, 'signal'>
}

/** One poll, as an old client makes it. */
export interface PollRequest {
  /** The cursor of the last answer; absent, null or empty to begin. */
  readonly since?: number | string | null
  /** How many items the answer may have, unless equal cursors need more. */
  readonly limit?: number
  /** How long to wait for an event when there is none, in milliseconds. @defaultValue 0 */
  readonly waitMs?: number
  /** Ends the poll with `ABORTED` when it fires: the client is gone. */
  readonly signal?: AbortSignal
}

export interface ResolvedPoll {
  /** '' to begin. */
  readonly since: string
  readonly limit: number
  readonly waitMs: number
  readonly signal: AbortSignal | undefined
}

/** @throws PollAdapterError `REQUEST_INVALID`, listing all problems */
export function resolvePoll(
  request: PollRequest,
  options: Pick<ResolvedFeedOptions<never, unknown>, 'defaultLimit' | 'maxLimit' | 'maxWaitMs'>,
): ResolvedPoll {
  const { since, limit, waitMs, signal } = request
  const issues: string[] = []
  const isText = since === undefined || since === null || typeof since === 'string'
  if (!isText && !Number.isFinite(since)) issues.push('since must be a number or a text')
  if (limit !== undefined && !(Number.isSafeInteger(limit) && limit >= 1))
    issues.push('limit must be a whole number of at least 1')
  if (waitMs !== undefined && !(Number.isFinite(waitMs) && waitMs >= 0))
    issues.push('the wait must be a number of at least 0')
  if (issues.length > 0) {
    throw new PollAdapterError('REQUEST_INVALID', issues.join('; '), { issues })
  }
  return {
    since: since === undefined || since === null ? '' : String(since),
    limit: Math.min(limit ?? options.defaultLimit, options.maxLimit),
    waitMs: Math.min(waitMs ?? 0, options.maxWaitMs),
    signal,
  }
}
