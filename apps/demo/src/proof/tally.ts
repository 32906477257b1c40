import type { JournalEntry } from './journal.ts'
import { percentile } from './percentiles.ts'

/**
 * What order means: for a consumer the events reach its handler in the order of the stream, whichever
 * process it runs in; each member of a group is handed what it gets first in the order of the stream,
 * and what it took over from another one whenever it comes.
 */
export type OrderedBy = 'member' | 'stream'

/** A period by the clock of the events' stamps. */
export interface Period {
  readonly fromMs: number
  readonly toMs: number
}

const RECENT_SAMPLES = 1_000

/** Counts what one consumer, or all members of one group, wrote into their journals. */
export class Tally {
  readonly #orderedBy: OrderedBy
  /** Sequences that were handled at least once. */
  readonly #handled = new Set<number>()
  readonly #greatest = new Map<string, number>()
  readonly #publishedAtMs: number[] = []
  readonly #latencyMs: number[] = []
  #received = 0
  #outOfOrder = 0

  constructor(orderedBy: OrderedBy) {
    this.#orderedBy = orderedBy
  }

  /** @param processName whose journal it is; the journals of one consumer follow each other */
  add(entry: JournalEntry, processName: string): void {
    this.#received += 1
    if (this.#handled.has(entry.sequence)) return
    this.#handled.add(entry.sequence)
    this.#publishedAtMs.push(entry.publishedAtMs)
    this.#latencyMs.push(Math.max(entry.atMs - entry.publishedAtMs, 0))
    if (this.#orderedBy === 'member' && entry.redelivered) return
    const lane = this.#orderedBy === 'member' ? processName : ''
    const greatest = this.#greatest.get(lane) ?? -1
    if (entry.sequence < greatest) this.#outOfOrder += 1
    else this.#greatest.set(lane, entry.sequence)
  }

  get received(): number {
    return this.#received
  }

  get distinct(): number {
    return this.#handled.size
  }

  /** Events that were handled more than once count once for each time too many. */
  get duplicates(): number {
    return this.#received - this.#handled.size
  }

  /** First deliveries of events that come before one that was delivered already. */
  get outOfOrder(): number {
    return this.#outOfOrder
  }

  /** How many of these were never handled. */
  missing(sequences: Iterable<number>): number {
    let missing = 0
    for (const sequence of sequences) if (!this.#handled.has(sequence)) missing += 1
    return missing
  }

  /**
   * Of the latencies from publishing to the first handler, without events that were published in a
   * period when nobody was there to handle them.
   */
  latencyMs(share: number, without: readonly Period[] = []): number | undefined {
    const samples = this.#latencyMs.filter((_, i) => {
      const atMs = this.#publishedAtMs[i] ?? 0
      return !without.some(({ fromMs, toMs }) => atMs >= fromMs && atMs <= toMs)
    })
    return percentile(samples, share)
  }

  /** The same of the newest events only. */
  recentLatencyMs(share: number): number | undefined {
    return percentile(this.#latencyMs.slice(-RECENT_SAMPLES), share)
  }
}
