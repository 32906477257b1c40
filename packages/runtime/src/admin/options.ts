import {
  abortSignal,
  boolean,
  oneOf,
  type OptionCheck,
  optionProblems,
  throwProblems,
  wholeNumber,
} from '../lifecycle/options.ts'
import { assertName } from '../stream/keys.ts'
import { isStartPosition, type StartPosition } from '../stream/start-position.ts'
import { isStreamId } from '../stream/stream-id.ts'

export interface CallOptions {
  /** Ends the work with `ABORTED`; what was done until then stays done. */
  readonly signal?: AbortSignal
}

export interface PauseOptions extends CallOptions {
  /** One consumer or consumer group alone. @defaultValue everybody who consumes the stream */
  readonly name?: string
  /** Why, for whoever wonders. */
  readonly reason: string
  /** Who, for whoever wonders. @defaultValue the connection's `clientName` */
  readonly by?: string
}

export interface ResumeOptions extends CallOptions {
  /** What was paused by this name. @defaultValue what was paused for everybody */
  readonly name?: string
}

/** Up to where a stream is trimmed: everything before an id, or before a time, or all but the last so many. */
export type TrimTo =
  | { readonly id: string }
  | { readonly timeMs: number }
  | { readonly length: number }

export interface TrimOptions extends CallOptions {
  readonly to: TrimTo
  /** Counts what would be removed and who would lose what, and changes nothing. @defaultValue false */
  readonly dryRun?: boolean
}

export interface ResolvedTrimOptions {
  readonly to: TrimTo
  readonly dryRun: boolean
  readonly signal: AbortSignal | undefined
}

export interface ResetOptions extends CallOptions {
  /** From where on the consumer or consumer group is to handle events. */
  readonly to: StartPosition
  /**
   * What becomes of events that members of a group hold and have not acknowledged. `refuse`: if there are
   * any, nothing is reset. `keep`: they stay pending, for the next members. `discard`: nobody handles them,
   * unless they lie behind the new position.
   * @defaultValue 'refuse'
   */
  readonly pending?: 'discard' | 'keep' | 'refuse'
  /** Tells what would change, and changes nothing. @defaultValue false */
  readonly dryRun?: boolean
}

export interface ResolvedResetOptions {
  readonly to: StartPosition
  readonly pending: 'discard' | 'keep' | 'refuse'
  readonly dryRun: boolean
  readonly signal: AbortSignal | undefined
}

export interface ReplayOptions extends CallOptions {
  /** Where the range begins. */
  readonly from: StartPosition
  /** Where the range ends: with this id, or before this time. @defaultValue at the end of the stream */
  readonly to?: { readonly id: string } | { readonly timeMs: number }
  /**
   * The greatest number of events on the redrive list; at that, the replay ends and says where it can go on.
   * Too high: memory of Redis, because replayed events are copies.
   * @defaultValue 10_000
   */
  readonly maxWaiting?: number
  /** Counts the events, and copies none. @defaultValue false */
  readonly dryRun?: boolean
}

export interface ResolvedReplayOptions {
  readonly from: StartPosition
  readonly to: { readonly id: string } | { readonly timeMs: number } | undefined
  readonly maxWaiting: number
  readonly dryRun: boolean
  readonly signal: AbortSignal | undefined
}

export interface DeleteOptions extends CallOptions {
  /**
   * Deletes the stream although consumers or members are at work. They begin anew, at the start of a new
   * stream. @defaultValue false
   */
  readonly evenIfInUse?: boolean
  /** What becomes of payloads in the blob store, if the connection has one. @defaultValue 'delete' */
  readonly blobs?: 'delete' | 'keep'
  /** Tells what would be deleted, and deletes nothing. @defaultValue false */
  readonly dryRun?: boolean
}

export interface ResolvedDeleteOptions {
  readonly evenIfInUse: boolean
  readonly blobs: 'delete' | 'keep'
  readonly dryRun: boolean
  readonly signal: AbortSignal | undefined
}

const defaults = Object.freeze({ maxWaiting: 10_000, pending: 'refuse', blobs: 'delete' } as const)

/** @throws MillraceError `OPTIONS_INVALID`, listing all problems */
export function checkPauseOptions(options: PauseOptions): void {
  check(
    'pause',
    { ...options, reason: options.reason ?? '' },
    { name: isText, reason: isText, by: isText },
  )
  if (options.name !== undefined)
    assertName('The name of a consumer or consumer group', options.name)
}

/** @throws MillraceError `OPTIONS_INVALID`, listing all problems */
export function checkResumeOptions(options: ResumeOptions): void {
  check('resume', options, { name: isText })
}

/** @throws MillraceError `OPTIONS_INVALID`, listing all problems */
export function resolveTrimOptions(options: TrimOptions): ResolvedTrimOptions {
  check('trim', { ...options, to: options.to ?? '' }, { to: isTrimTo, dryRun: boolean })
  return { to: options.to, dryRun: options.dryRun ?? false, signal: options.signal }
}

/** @throws MillraceError `OPTIONS_INVALID`, listing all problems */
export function resolveResetOptions(options: ResetOptions): ResolvedResetOptions {
  const checks = {
    to: isStartPosition,
    pending: oneOf('discard', 'keep', 'refuse'),
    dryRun: boolean,
  }
  check('reset', { ...options, to: options.to ?? '' }, checks)
  return {
    to: options.to,
    pending: options.pending ?? defaults.pending,
    dryRun: options.dryRun ?? false,
    signal: options.signal,
  }
}

/** @throws MillraceError `OPTIONS_INVALID`, listing all problems */
export function resolveReplayOptions(options: ReplayOptions): ResolvedReplayOptions {
  check(
    'replay',
    { ...options, from: options.from ?? '' },
    {
      from: isStartPosition,
      to: (v) =>
        (typeof v === 'object' && isStartPosition(v) === true) || 'must be { id } or { timeMs }',
      maxWaiting: wholeNumber(1, 10_000_000, 'events'),
      dryRun: boolean,
    },
  )
  return {
    from: options.from,
    to: options.to,
    maxWaiting: options.maxWaiting ?? defaults.maxWaiting,
    dryRun: options.dryRun ?? false,
    signal: options.signal,
  }
}

/** @throws MillraceError `OPTIONS_INVALID`, listing all problems */
export function resolveDeleteOptions(options: DeleteOptions): ResolvedDeleteOptions {
  check('delete', options, {
    evenIfInUse: boolean,
    blobs: oneOf('delete', 'keep'),
    dryRun: boolean,
  })
  return {
    evenIfInUse: options.evenIfInUse ?? false,
    blobs: options.blobs ?? defaults.blobs,
    dryRun: options.dryRun ?? false,
    signal: options.signal,
  }
}

function check(what: string, options: object, checks: Readonly<Record<string, OptionCheck>>): void {
  throwProblems(what, optionProblems(options, { ...checks, signal: abortSignal }))
}

const isText: OptionCheck = (value) =>
  (typeof value === 'string' && value.trim() !== '' && value.length <= 200) ||
  'must be a text of 1 to 200 characters'

const isTrimTo: OptionCheck = (value) => {
  if (typeof value === 'object' && value !== null && Object.keys(value).length === 1) {
    if ('id' in value && typeof value.id === 'string' && isStreamId(value.id)) return true
    if ('timeMs' in value && isCount(value.timeMs)) return true
    if ('length' in value && isCount(value.length)) return true
  }
  return 'must be { id }, { timeMs } or { length }'
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
