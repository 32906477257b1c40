import { compareIds } from '@millrace/runtime'
import type { JournalEntry } from './journal.ts'

/** What the producer saw confirmed: the other side of every count. */
export class Published {
  readonly #sequences = new Set<number>()
  #newest: JournalEntry | undefined
  #outOfOrder = 0

  add(entry: JournalEntry): void {
    this.#sequences.add(entry.sequence)
    const newest = this.#newest
    if (newest !== undefined) {
      // Confirmations come in the order of publishing, and ids must rise with it.
      const rises = entry.sequence > newest.sequence && compareIds(entry.id, newest.id) > 0
      if (!rises) this.#outOfOrder += 1
    }
    this.#newest = entry
  }

  get count(): number {
    return this.#sequences.size
  }

  /** How many events are in the stream in another order than they were published in. */
  get outOfOrder(): number {
    return this.#outOfOrder
  }

  sequences(): Iterable<number> {
    return this.#sequences
  }
}
