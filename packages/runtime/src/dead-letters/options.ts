import {
  abortSignal,
  boolean,
  optionProblems,
  throwProblems,
  wholeNumber,
} from '../lifecycle/options.ts'
import { isStreamId } from '../stream/stream-id.ts'
import type { DeadLetter } from './dead-letter.ts'

export interface ListOptions {
  /** Begins after the letter of this id. @defaultValue at the oldest letter */
  readonly after?: string
  /** The greatest number of letters. @defaultValue Infinity */
  readonly limit?: number
  /** Ends the listing with `ABORTED`. */
  readonly signal?: AbortSignal
}

/** Which letters a redrive or discard is about. */
interface Choice<Data> {
  /** The letters' own ids; those that are not there are passed over. @defaultValue all letters */
  readonly ids?: readonly string[]
  /** Asked for each letter, oldest first; only those it answers true for are touched. */
  readonly filter?: (letter: DeadLetter<Data>) => boolean | Promise<boolean>
  /** The greatest number of letters to touch, oldest first. @defaultValue Infinity */
  readonly limit?: number
  /** Chooses and counts, and changes nothing. @defaultValue false */
  readonly dryRun?: boolean
  /**
   * Ends the work with `ABORTED`. What was done until then stays done; `onProgress` has told how much.
   */
  readonly signal?: AbortSignal
}

export interface RedriveOptions<Data = unknown> extends Choice<Data> {
  /**
   * The greatest number of letters to move in a second. Too low: the redrive takes long. Without it
   * the consumer gets all of them as fast as it takes them, beside its other events.
   * @defaultValue Infinity
   */
  readonly ratePerSecond?: number
  /** Told after each step. What it throws ends the redrive. */
  readonly onProgress?: (progress: RedriveProgress) => void
}

/** `ids` or `filter` has to be given: nothing is thrown away by leaving an option out. */
export interface DiscardOptions<Data = unknown> extends Choice<Data> {
  /** Told after each step. What it throws ends the discarding. */
  readonly onProgress?: (progress: DiscardProgress) => void
}

export interface RedriveProgress {
  /** Letters that were looked at. */
  readonly examined: number
  /** Letters that were chosen. */
  readonly matched: number
  /** Letters that were moved; 0 in a dry run. */
  readonly redriven: number
  /** Chosen letters that somebody else had moved or discarded meanwhile. */
  readonly gone: number
}

export interface RedriveReport extends RedriveProgress {
  readonly dryRun: boolean
}

export interface DiscardProgress {
  /** Letters that were looked at. */
  readonly examined: number
  /** Letters that were chosen. */
  readonly matched: number
  /** Letters that were removed; 0 in a dry run. */
  readonly discarded: number
  /** Chosen letters that somebody else had moved or discarded meanwhile. */
  readonly gone: number
}

export interface DiscardReport extends DiscardProgress {
  readonly dryRun: boolean
}

export interface ResolvedListOptions {
  readonly after: string | undefined
  readonly limit: number
  readonly signal: AbortSignal | undefined
}

export interface ResolvedChoice<Data> {
  readonly ids: readonly string[] | undefined
  readonly filter: ((letter: DeadLetter<Data>) => boolean | Promise<boolean>) | undefined
  readonly limit: number
  readonly dryRun: boolean
  readonly signal: AbortSignal | undefined
}

export interface ResolvedRedriveOptions<Data> extends ResolvedChoice<Data> {
  readonly ratePerSecond: number
  readonly onProgress: ((progress: RedriveProgress) => void) | undefined
}

export interface ResolvedDiscardOptions<Data> extends ResolvedChoice<Data> {
  readonly onProgress: ((progress: DiscardProgress) => void) | undefined
}

const defaults = Object.freeze({
  limit: Number.POSITIVE_INFINITY,
  dryRun: false,
  ratePerSecond: Number.POSITIVE_INFINITY,
})

/** @throws MillraceError `OPTIONS_INVALID`, listing all problems */
export function resolveListOptions(options: ListOptions): ResolvedListOptions {
  const problems = optionProblems(options, {
    after: (v) => isId(v) || 'must be the id of a dead letter',
    limit: isLimit,
    signal: abortSignal,
  })
  throwProblems('Listing dead letters', problems)
  return { after: options.after, limit: options.limit ?? defaults.limit, signal: options.signal }
}

/** @throws MillraceError `OPTIONS_INVALID`, listing all problems */
export function resolveRedriveOptions<Data>(
  options: RedriveOptions<Data>,
): ResolvedRedriveOptions<Data> {
  const problems = optionProblems(options, {
    ...choiceChecks,
    ratePerSecond: (v) => isRate(v) || 'must be a number above 0, in letters per second',
    onProgress: isFunction,
  })
  throwProblems('Redrive', problems)
  return {
    ...resolveChoice(options),
    ratePerSecond: options.ratePerSecond ?? defaults.ratePerSecond,
    onProgress: options.onProgress,
  }
}

/** @throws MillraceError `OPTIONS_INVALID`, listing all problems */
export function resolveDiscardOptions<Data>(
  options: DiscardOptions<Data>,
): ResolvedDiscardOptions<Data> {
  const problems = optionProblems(options, { ...choiceChecks, onProgress: isFunction })
  if (options?.ids === undefined && options?.filter === undefined) {
    problems.push('ids or filter must be given; the filter () => true discards every letter')
  }
  throwProblems('Discard', problems)
  return { ...resolveChoice(options), onProgress: options.onProgress }
}

const isFunction = (value: unknown): boolean | string =>
  typeof value === 'function' || 'must be a function'

const isLimit = (value: unknown): boolean | string =>
  value === Number.POSITIVE_INFINITY || wholeNumber(1, Number.MAX_SAFE_INTEGER)(value)

const choiceChecks = {
  ids: (value: unknown): boolean | string =>
    (Array.isArray(value) && value.every(isId)) || 'must be an array of ids of dead letters',
  filter: isFunction,
  limit: isLimit,
  dryRun: boolean,
  signal: abortSignal,
}

function resolveChoice<Data>(options: Choice<Data>): ResolvedChoice<Data> {
  return {
    ids: options.ids,
    filter: options.filter,
    limit: options.limit ?? defaults.limit,
    dryRun: options.dryRun ?? defaults.dryRun,
    signal: options.signal,
  }
}

function isId(value: unknown): boolean {
  return typeof value === 'string' && isStreamId(value)
}

function isRate(value: unknown): boolean {
  return typeof value === 'number' && value > 0
}
