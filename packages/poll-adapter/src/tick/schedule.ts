/** When a poller asks next: every so many milliseconds, or at the times that a function names (a cron). */
export type Schedule = number | ((afterMs: number) => number)

/** The longest pause that a timer takes. */
const LONGEST_PAUSE_MS = 2_147_483_647

/**
 * How long to wait for the next tick, in milliseconds. Ticks keep to their beat however long each takes,
 * and never overlap: those that a slow one has run over are left out, as nobody wants them any more.
 *
 * @param begunMs when the last tick began, in milliseconds since 1970
 */
export function untilNextTickMs(schedule: Schedule, begunMs: number, nowMs: number): number {
  if (typeof schedule === 'function') {
    const nextMs = schedule(nowMs)
    // A schedule that names no further time is asked again, so that it may name one later.
    return Number.isNaN(nextMs) ? LONGEST_PAUSE_MS : within(nextMs - nowMs)
  }
  const tookMs = Math.max(nowMs - begunMs, 0)
  return within(tookMs < schedule ? schedule - tookMs : schedule - (tookMs % schedule))
}

function within(pauseMs: number): number {
  return Math.min(Math.max(pauseMs, 0), LONGEST_PAUSE_MS)
}
