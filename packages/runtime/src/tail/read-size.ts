/** How much one read may ask for: COUNT is a number of events for each stream, memory is bytes. */

const FEWEST = 1
const MOST = 500
/** The first page of a catch-up: enough to learn the size of events, little enough to be safe. */
const FIRST_PAGE = 16
const PAGE_BYTES = 1024 * 1024

/** COUNT of a tail's read, so that the reply stays within the budget whatever the streams hold. */
export function tailCount(budgetBytes: number, streams: number, largestEventBytes: number): number {
  const fitting = Math.floor(budgetBytes / (Math.max(streams, 1) * Math.max(largestEventBytes, 1)))
  return Math.min(Math.max(fitting, FEWEST), MOST)
}

/** The largest event to plan for: a great one is remembered for a while, not for ever. */
export function largestAfterRead(largestBytes: number, seenBytes: number): number {
  return Math.max(seenBytes, largestBytes * 0.999)
}

/**
 * COUNT of the next page, given what the events of the last one weighed on average, and how many events
 * the one that asks may hold.
 */
export function pageCount(averageBytes: number | undefined, creditEvents: number): number {
  const fitting =
    averageBytes === undefined ? FIRST_PAGE : Math.floor(PAGE_BYTES / Math.max(averageBytes, 1))
  return Math.min(Math.max(fitting, FEWEST), MOST, creditEvents)
}
