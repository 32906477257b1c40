import type { MillraceError } from '../errors.ts'

/**
 * The producer's window as a pure state machine: which events have which sequence, which answers are
 * outstanding, and what to do when they have come. SPEC.md in this folder has the invariants.
 *
 * States: open (new batches may be added and sent) and stalled (nothing is sent). Any answer but
 * `appended` stalls it. Once nothing is outstanding, `resume` says how to go on.
 */
export interface Window<E> {
  epoch: string
  nextSequence: number
  /** The greatest sequence that Redis has confirmed in this epoch. */
  acknowledged: number
  /** Batches that were sent and not confirmed, by sequence. */
  readonly unresolved: Batch<E>[]
  /** How many answers are awaited. */
  outstanding: number
  stalled: boolean
  /** The server's books of this epoch went back, or it was closed: it cannot be continued. */
  broken: boolean
  /** The server does not have the script: the next batch brings its source. */
  needsSource: boolean
}

/** Events that are appended together; never cut differently while a copy of it may exist. */
export interface Batch<E> {
  events: readonly E[]
  bytes: number
  /** The sequence of its first event. */
  first: number
  /** Whether a copy of it awaits its answer. */
  outstanding: boolean
  /** Whether some copy of it was lost on its way: it may be in the stream, or may still get there. */
  unknown: boolean
  /** Why the server refused it for good. */
  refusal: MillraceError | undefined
  /**
   * Its place in the spool, from the moment that it is written there. Such a batch is neither given up
   * nor refused: its callers may have been told that it is safe.
   */
  position: number | undefined
  /** Whether its callers know where it is. */
  answered: boolean
}

/** Where the events of a batch are in the stream. */
export interface Placement {
  /** The id of the first event that was appended; `-` when all were duplicates. */
  readonly firstId: string
  /** Duplicates by idempotency key: index in the batch → id of the original. */
  readonly originals: ReadonlyMap<number, string> | undefined
}

/** What became of one copy of a batch. */
export type Answer =
  | { readonly kind: 'appended'; readonly placement: Placement }
  | { readonly kind: 'gap'; readonly last: number }
  | { readonly kind: 'closed' }
  | {
      readonly kind: 'refused'
      readonly reason: string
      /** Set when trying again is of no use. */
      readonly fatal: MillraceError | undefined
      /** Whether this copy was certainly not executed. */
      readonly certain: boolean
    }
  | { readonly kind: 'lost'; readonly reason: string }

/** How to go on after a stall. */
export type Resumption<E> =
  /** Close the epoch in Redis, then call {@link reopen}. */
  | { readonly kind: 'close-epoch' }
  /** Send these in this order; the window is open again. */
  | {
      readonly kind: 'send'
      readonly batches: readonly Batch<E>[]
      readonly rejected: readonly Rejected<E>[]
    }

export interface Rejected<E> {
  readonly events: readonly E[]
  readonly error: MillraceError
}

/** As many batches as the record in Redis remembers the answers of. */
const MOST_BATCHES = 16

/** A window on a new epoch, or on one that an earlier process has left at this sequence. */
export function openWindow<E>(epoch: string, nextSequence = 1): Window<E> {
  return {
    epoch,
    nextSequence,
    // What lay before has left the spool, and so was confirmed.
    acknowledged: nextSequence - 1,
    unresolved: [],
    outstanding: 0,
    stalled: false,
    broken: false,
    needsSource: false,
  }
}

export function mayAdd(window: Window<unknown>): boolean {
  return !window.stalled && window.unresolved.length < MOST_BATCHES
}

/** Gives the events their sequences. The batch is to be sent at once. */
export function add<E>(window: Window<E>, events: readonly E[], bytes: number): Batch<E> {
  const batch: Batch<E> = {
    events,
    bytes,
    first: window.nextSequence,
    outstanding: false,
    unknown: false,
    refusal: undefined,
    position: undefined,
    answered: false,
  }
  window.nextSequence += events.length
  window.unresolved.push(batch)
  return batch
}

/** A copy of the batch is on its way. */
export function sent<E>(window: Window<E>, batch: Batch<E>): void {
  batch.outstanding = true
  window.outstanding++
}

/** The sequence up to which every answer has been seen. */
export function answeredThrough(window: Window<unknown>): number {
  return (window.unresolved[0]?.first ?? window.nextSequence) - 1
}

/** Takes note of what became of the outstanding copy of the batch. */
export function settle<E>(window: Window<E>, batch: Batch<E>, answer: Answer): void {
  batch.outstanding = false
  window.outstanding--
  switch (answer.kind) {
    case 'appended':
      window.unresolved.splice(window.unresolved.indexOf(batch), 1)
      window.acknowledged = Math.max(window.acknowledged, batch.first + batch.events.length - 1)
      return
    case 'gap':
      // The server has forgotten what it had confirmed: a failover lost our record.
      if (answer.last < window.acknowledged) window.broken = true
      break
    case 'closed':
      window.broken = true
      break
    case 'refused':
      if (answer.reason === 'no-script') window.needsSource = true
      if (answer.fatal !== undefined && batch.position === undefined) batch.refusal = answer.fatal
      if (!answer.certain) batch.unknown = true
      break
    case 'lost':
      batch.unknown = true
      break
    default:
      answer satisfies never
  }
  window.stalled = true
}

/**
 * Takes out, while nothing is outstanding, what was refused for good or given up and cannot be in the
 * stream. `isLive` tells the events that somebody still waits for from those that were given up.
 */
export function takeRefused<E>(window: Window<E>, isLive: (event: E) => boolean): Rejected<E>[] {
  // With one batch in doubt, which of these sequences the server has used is not known.
  if (window.broken || window.unresolved.some((batch) => batch.unknown)) return []
  // The server has refused every copy itself: none of these sequences is in use, and none can come to
  // be, so the events that remain move up.
  return hasHole(window, isLive) ? renumber(window, isLive, answeredThrough(window) + 1) : []
}

/** Decides how to go on once nothing is outstanding and there is a connection. */
export function resume<E>(window: Window<E>, isLive: (event: E) => boolean): Resumption<E> {
  const rejected = takeRefused(window, isLive)
  if (window.broken || hasHole(window, isLive)) return { kind: 'close-epoch' }
  window.stalled = false
  return { kind: 'send', batches: [...window.unresolved], rejected }
}

/** The epoch is closed and had appended everything up to `last`; goes on under another epoch. */
export function reopen<E>(
  window: Window<E>,
  last: number,
  epoch: string,
  isLive: (event: E) => boolean,
): { readonly appended: readonly Batch<E>[]; readonly rejected: readonly Rejected<E>[] } {
  const appended: Batch<E>[] = []
  while (window.unresolved[0] !== undefined && window.unresolved[0].first <= last) {
    appended.push(window.unresolved[0])
    window.unresolved.shift()
  }
  window.epoch = epoch
  window.acknowledged = 0
  window.broken = false
  const rejected = renumber(window, isLive, 1)
  return { appended, rejected }
}

/**
 * Puts everything unresolved into the spool, from this position on; answers what has to be written. It
 * begins with the first batch that is not there yet, so that no sequence is on disk before a lower one.
 */
export function keepUnresolved<E>(window: Window<E>, position: number): Batch<E>[] {
  const kept = window.unresolved.filter((batch) => batch.position === undefined)
  for (const [i, batch] of kept.entries()) {
    batch.position = position + i
    // It is tried until it is in the stream; what Redis thought of it before does not count.
    batch.refusal = undefined
  }
  return kept
}

/** The batch could not be written to the spool. */
export function unkeep(batch: Batch<unknown>): void {
  batch.position = undefined
}

/** The position in the spool up to which everything is in the stream. */
export function resolvedThrough(window: Window<unknown>, lastTaken: number): number {
  const first = window.unresolved.find((batch) => batch.position !== undefined)
  return first?.position === undefined ? lastTaken : first.position - 1
}

function hasHole<E>(window: Window<E>, isLive: (event: E) => boolean): boolean {
  return window.unresolved.some(
    (batch) =>
      batch.refusal !== undefined ||
      // What is in the spool goes as it is; nobody can give it up any more.
      (batch.position === undefined && !batch.events.every(isLive)),
  )
}

/** Takes out what was given up or refused, and gives the rest new sequences from `first` on. */
function renumber<E>(
  window: Window<E>,
  isLive: (event: E) => boolean,
  first: number,
): Rejected<E>[] {
  const rejected: Rejected<E>[] = []
  const remaining: Batch<E>[] = []
  let sequence = first
  for (const batch of window.unresolved) {
    if (batch.refusal !== undefined) {
      rejected.push({ events: batch.events, error: batch.refusal })
      continue
    }
    if (batch.position === undefined) batch.events = batch.events.filter(isLive)
    if (batch.events.length === 0) continue
    batch.unknown = false
    batch.first = sequence
    sequence += batch.events.length
    remaining.push(batch)
  }
  window.unresolved.splice(0, window.unresolved.length, ...remaining)
  window.nextSequence = sequence
  return rejected
}
