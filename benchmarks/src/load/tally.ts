import { sumOfSequences } from './flight-event.ts'
import { type Lap, stopwatch } from './stopwatch.ts'

/**
 * Counts the events of a consumer that catches up. The first ones warm the code up; the stopwatch
 * starts after them and is stopped by {@link Tally.finish}.
 */
export class Tally {
  /** Resolves when the last event has been seen. */
  readonly complete: Promise<void>
  readonly #warmUp: number
  readonly #events: number
  readonly #complete = Promise.withResolvers<void>()
  #seen = 0
  #sum = 0
  #stop: (() => Lap) | undefined

  constructor(events: { readonly warmUp: number; readonly measured: number }) {
    this.#warmUp = events.warmUp
    this.#events = events.warmUp + events.measured
    this.complete = this.#complete.promise
  }

  see(sequence: number): void {
    this.#seen += 1
    this.#sum += sequence
    if (this.#seen === this.#warmUp) this.#stop = stopwatch()
    if (this.#seen === this.#events) this.#complete.resolve()
  }

  /** @throws when events were lost, or seen twice */
  finish(): Lap {
    if (this.#stop === undefined) throw new Error('finished before the warm-up was over')
    const lap = this.#stop()
    if (this.#seen !== this.#events || this.#sum !== sumOfSequences(this.#events)) {
      throw new Error(`${this.#seen} of ${this.#events} events were seen, or not each once`)
    }
    return lap
  }
}
