/** How a redrive keeps to its rate, as pure functions of the time. */

/** The greatest number of letters that one script moves: Redis serves nobody else meanwhile. */
export const MOST_IN_ONE_STEP = 32
/** The greatest size of what one script moves, unless a single letter is larger. */
export const MOST_BYTES_IN_ONE_STEP = 1_048_576

/** How many steps a second's worth of letters is divided into, so that they do not come in one burst. */
const STEPS_PER_SECOND = 10

/** How many letters may go into one step at this rate. */
export function stepSize(ratePerSecond: number): number {
  return Math.min(Math.max(Math.floor(ratePerSecond / STEPS_PER_SECOND), 1), MOST_IN_ONE_STEP)
}

/** How long to wait before the next step, after so many letters in so much time. */
export function pauseMs(moved: number, elapsedMs: number, ratePerSecond: number): number {
  if (ratePerSecond === Number.POSITIVE_INFINITY) return 0
  return Math.max((moved / ratePerSecond) * 1_000 - elapsedMs, 0)
}
