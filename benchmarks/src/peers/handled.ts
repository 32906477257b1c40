import { nowUs, type TimedEvent } from '../load/timed-event.ts'

/** What a peer's handler has seen. Peers may deliver twice and out of order, and are not judged by it. */
export class Handled {
  /** By sequence, from the first to the first handling. */
  readonly #tookMs = new Map<number, number>()
  #again = 0
  #afterUs = Infinity
  #resumedUs = 0

  /** How many different events were handled. */
  get different(): number {
    return this.#tookMs.size
  }

  /** How many times an event came that had been handled before. */
  get again(): number {
    return this.#again
  }

  /** When the first event came that {@link lookForSentAfter} looks for; 0 before that. */
  get resumedUs(): number {
    return this.#resumedUs
  }

  see({ sequence, sentUs }: TimedEvent): void {
    const atUs = nowUs()
    if (sentUs >= this.#afterUs && this.#resumedUs === 0) this.#resumedUs = atUs
    if (this.#tookMs.has(sequence)) this.#again += 1
    else this.#tookMs.set(sequence, (atUs - sentUs) / 1_000)
  }

  has(sequence: number): boolean {
    return this.#tookMs.has(sequence)
  }

  lookForSentAfter(afterUs: number): void {
    this.#afterUs = afterUs
    this.#resumedUs = 0
  }

  /** Of the events from this sequence on. */
  latenciesMs(from: number): readonly number[] {
    return [...this.#tookMs].flatMap(([sequence, tookMs]) => (sequence >= from ? [tookMs] : []))
  }
}
