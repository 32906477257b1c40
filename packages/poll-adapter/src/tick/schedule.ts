/** When a poller asks next: every so many milliseconds, or at the times that a function names (a cron). */
export type Schedule = number | ((afterMs: number) => number)

/** The longest pause that a timer takes. */
const LONGEST_PAUSE_MS = 2_147_483_647

/** A schedule that names no further time is asked again after so long, so that it may name one later. */
const ASK_AGAIN_MS = 60_000

/**
 * How long to wait for the next tick of an interval, in milliseconds. Ticks keep to their beat however long each
 * takes, and never overlap: those that a slow one has run over are left out, as nobody wants them any more.
 *
 * @param begunMs when the last tick began, in milliseconds since 1970
 */
export function untilNextTickMs(everyMs: number, begunMs: number, nowMs: number): number {
  const tookMs = Math.max(nowMs - begunMs, 0)
  return tookMs < everyMs ? everyMs - tookMs : everyMs - (tookMs % everyMs)
}

/**
 * How long to wait for a time that a function named, before looking at the clock again: timers are early at times,
 * and none takes a month.
 */
export function untilDueMs(dueMs: number, nowMs: number): number {
  if (Number.isNaN(dueMs)) return ASK_AGAIN_MS
  return Math.min(Math.max(dueMs - nowMs, 0), LONGEST_PAUSE_MS)
}
