import { type Spread, shareWithin, spreadOf } from '../harness/statistics.ts'
import { nowUs } from './timed-event.ts'

/** Collects how long events took from being sent to being handled, and whether each came once. */
export class Latencies {
  readonly #warmUp: number
  readonly #latenciesMs: number[] = []
  readonly #complete = Promise.withResolvers<void>()
  readonly #events: number
  #seen = 0

  /** The first `warmUp` of the `events` are counted only. */
  constructor(events: { readonly warmUp: number; readonly events: number }) {
    this.#warmUp = events.warmUp
    this.#events = events.events
  }

  /** Resolves when all events have been seen. */
  get complete(): Promise<void> {
    return this.#complete.promise
  }

  /** @throws when the events do not come in the order in which they were sent, each once */
  see(event: { readonly sequence: number; readonly sentUs: number }): void {
    if (event.sequence !== this.#seen) {
      const problem = new Error(`event ${event.sequence} came where ${this.#seen} was due`)
      this.#complete.reject(problem)
      throw problem
    }
    this.#seen += 1
    if (event.sequence >= this.#warmUp) this.#latenciesMs.push((nowUs() - event.sentUs) / 1_000)
    if (this.#seen === this.#events) this.#complete.resolve()
  }

  spread(): Spread {
    return spreadOf(this.#latenciesMs)
  }

  shareWithin(limitMs: number): number {
    return shareWithin(this.#latenciesMs, limitMs)
  }
}
