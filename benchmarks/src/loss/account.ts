/** What the journals of one reader say of the events from 0. */
export interface Account {
  /** Events that were never handled. */
  readonly lost: number
  /** Events that were handled for the first time after a later one had been. */
  readonly outOfOrder: number
  /** Further deliveries of events that had been handled before. */
  readonly repeated: number
}

/** @param journals the numbers of the events, in the order in which they were handled, oldest journal first */
export function accountFor(journals: readonly ArrayLike<number>[], events: number): Account {
  const seen = new Uint8Array(events)
  let greatest = -1
  let different = 0
  let outOfOrder = 0
  let repeated = 0
  for (const journal of journals) {
    for (let i = 0; i < journal.length; i++) {
      const sequence = journal[i] ?? -1
      if (!(sequence >= 0 && sequence < events))
        throw new Error(`event ${sequence} was handled and never published`)
      if (seen[sequence] === 1) {
        repeated += 1
        continue
      }
      seen[sequence] = 1
      different += 1
      if (sequence < greatest) outOfOrder += 1
      else greatest = sequence
    }
  }
  return { lost: events - different, outOfOrder, repeated }
}
