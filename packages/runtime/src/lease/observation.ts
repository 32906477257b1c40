/**
 * Whether somebody else's lease has run out, decided without any wall clock: a candidate takes over
 * when it has seen the same beat for one whole lease on its own monotonic clock, looking often enough
 * that no beat could have passed unseen.
 */
export interface Beat {
  /** The holder's token; another one means another holder, and the observation starts again. */
  readonly token: string
  readonly beat: number
  readonly leaseMs: number
}

export interface Observation {
  readonly seen: Beat
  /** When this beat was first seen, by the observer's monotonic clock. */
  readonly sinceMs: number
  /** When it was last looked at with success. */
  readonly lastLookMs: number
}

export type Verdict =
  | { readonly action: 'wait'; readonly observation: Observation }
  | { readonly action: 'take-over'; readonly observation: Observation }

/** How often a candidate looks, in milliseconds; never less often than half a lease. */
export function lookEveryMs(leaseMs: number): number {
  return Math.min(1_000, leaseMs / 4)
}

/**
 * Takes in one successful look. A look that failed must be followed by `undefined` as the previous
 * observation: what happened meanwhile is not known.
 */
export function observe(previous: Observation | undefined, seen: Beat, nowMs: number): Verdict {
  const unbroken =
    previous !== undefined &&
    previous.seen.token === seen.token &&
    previous.seen.beat === seen.beat &&
    nowMs - previous.lastLookMs <= seen.leaseMs / 2
  if (!unbroken) {
    return { action: 'wait', observation: { seen, sinceMs: nowMs, lastLookMs: nowMs } }
  }
  const observation = { seen, sinceMs: previous.sinceMs, lastLookMs: nowMs }
  return nowMs - previous.sinceMs >= seen.leaseMs
    ? { action: 'take-over', observation }
    : { action: 'wait', observation }
}

/** The part of a lease after which a holder without a confirmed beat must have stopped its handlers. */
const ABORT_AFTER = 0.8

/** When the holder has to stop, given when its last confirmed beat was sent. */
export function abortAtMs(lastConfirmedSentMs: number, leaseMs: number): number {
  return lastConfirmedSentMs + leaseMs * ABORT_AFTER
}

/**
 * How often a holder raises its beat, in milliseconds. One that is idle has no handlers that would have to
 * stop if an answer came late, and in a process that does nothing else the beats are most of the bill.
 */
export function beatEveryMs(leaseMs: number, isIdle = false): number {
  return isIdle ? leaseMs / 2 : leaseMs / 3
}
