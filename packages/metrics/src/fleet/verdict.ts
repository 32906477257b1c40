import { compareIds } from '@millrace/runtime'

/**
 * How a consumer or group does. `docs/metrics-exporter.md` words the rule for users:
 * - `rewound`: within the window its position went back.
 * - `ok`: nothing waits, or what waits is being worked off.
 * - `stopped`: something has waited for the whole patience, nothing moved, and nobody is there.
 * - `stalled`: likewise, but somebody is there, or it is not known.
 * - `lagging`: it moves, but over the window the lag grew and never came to 0, or the oldest waiting event
 *   is older than `maxLagMs`.
 */
export type Verdict = 'lagging' | 'ok' | 'rewound' | 'stalled' | 'stopped'

export const VERDICTS: readonly Verdict[] = ['ok', 'lagging', 'stalled', 'stopped', 'rewound']

/** One look at a consumer or group. */
export interface Look {
  /** When, on a clock that only goes forward. */
  readonly atMs: number
  readonly position: string
  readonly lag: number
  /** How long the oldest event after the position has waited. */
  readonly lagMs: number
  readonly pending: number
  /** The first pending event, '' without one. */
  readonly oldestPendingId: string
  /** Whether somebody holds the lease, or a member is alive; undefined when that is not known. */
  readonly isManned: boolean | undefined
}

/** What earlier looks have left behind. */
export interface Course {
  readonly last: Look
  /** When it last moved, or something began to wait. */
  readonly movedAtMs: number
  /** When its position last went back; undefined when it never did. */
  readonly rewoundAtMs: number | undefined
  /** The lag at looks of the window, the oldest first. */
  readonly lags: readonly LagMark[]
}

interface LagMark {
  readonly atMs: number
  readonly lag: number
  /** The least lag since the mark before this one. */
  readonly least: number
}

export interface VerdictBounds {
  /** How far back a course is judged. */
  readonly windowMs: number
  /** How long something may wait while nothing moves. */
  readonly patienceMs: number
  /** How long an event may wait before it is late although things move. */
  readonly maxLagMs: number
}

/** The course after one more look. */
export function courseAfter(
  before: Course | undefined,
  look: Look,
  { windowMs }: VerdictBounds,
): Course {
  if (before === undefined) {
    return {
      last: look,
      movedAtMs: look.atMs,
      rewoundAtMs: undefined,
      lags: [{ atMs: look.atMs, lag: look.lag, least: look.lag }],
    }
  }
  const since = compareIds(look.position, before.last.position)
  // The newest look that is as old as the window stays: it says what the lag was when the window began.
  const past = before.lags.findLastIndex(({ atMs }) => atMs <= look.atMs - windowMs)
  const kept = past > 0 ? before.lags.slice(past) : before.lags
  return {
    last: look,
    movedAtMs: hasMoved(before.last, look) ? look.atMs : before.movedAtMs,
    rewoundAtMs: since < 0 ? look.atMs : before.rewoundAtMs,
    lags: withMark(kept, look, windowMs),
  }
}

export function verdictOf(course: Course, bounds: VerdictBounds): Verdict {
  const { last, movedAtMs, rewoundAtMs, lags } = course
  if (rewoundAtMs !== undefined && last.atMs - rewoundAtMs < bounds.windowMs) return 'rewound'
  if (!waits(last)) return 'ok'
  if (last.atMs - movedAtMs >= bounds.patienceMs) {
    return last.isManned === false ? 'stopped' : 'stalled'
  }
  if (last.lag > 0 && last.lagMs > bounds.maxLagMs) return 'lagging'
  const [first] = lags
  const isWhole = first !== undefined && last.atMs - first.atMs >= bounds.windowMs
  const grew = isWhole && last.lag > first.lag && lags.every(({ least }) => least > 0)
  return grew ? 'lagging' : 'ok'
}

function waits({ lag, pending }: Look): boolean {
  return lag > 0 || pending > 0
}

/** Acks show in a pending count that falls or in another first entry, reading in the position. */
function hasMoved(before: Look, now: Look): boolean {
  return (
    !waits(before) ||
    before.position !== now.position ||
    now.pending < before.pending ||
    before.oldestPendingId !== now.oldestPendingId
  )
}

/** How many marks a window keeps, about: frequent scrapes must not make it long. */
const MARKS_KEPT = 32

function withMark(marks: readonly LagMark[], { atMs, lag }: Look, windowMs: number): LagMark[] {
  const last = marks.at(-1)
  const beforeLast = marks.at(-2)
  const isCrowded =
    last !== undefined &&
    beforeLast !== undefined &&
    last.atMs - beforeLast.atMs < windowMs / MARKS_KEPT
  if (!isCrowded) return [...marks, { atMs, lag, least: lag }]
  return [...marks.slice(0, -1), { atMs, lag, least: Math.min(lag, last.least) }]
}
