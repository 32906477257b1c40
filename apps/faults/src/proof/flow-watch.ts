import type { ReaderName } from '../cast/parts.ts'
import type { JournalEntry } from './journal.ts'

/**
 * Waits for the flow to go again: for every reader to handle an event that was published at a time or
 * later. What a reader had received before does not count, so one that went deaf is not taken for well.
 */
export class FlowWatch {
  readonly sinceMs: number
  readonly #readers: readonly ReaderName[]
  readonly #firstMs = new Map<ReaderName, number>()

  constructor(sinceMs: number, readers: readonly ReaderName[]) {
    this.sinceMs = sinceMs
    this.#readers = readers
  }

  see(reader: ReaderName, entries: readonly JournalEntry[]): void {
    for (const { publishedAtMs, atMs } of entries) {
      if (publishedAtMs < this.sinceMs) continue
      this.#firstMs.set(reader, Math.min(this.#firstMs.get(reader) ?? atMs, atMs))
    }
  }

  /** Who has not yet handled one. */
  get waitingFor(): readonly ReaderName[] {
    return this.#readers.filter((reader) => !this.#firstMs.has(reader))
  }

  /** How long it took until the last reader had handled one; undefined while one has not. */
  get tookMs(): number | undefined {
    if (this.waitingFor.length > 0) return undefined
    return Math.max(...this.#firstMs.values()) - this.sinceMs
  }
}
