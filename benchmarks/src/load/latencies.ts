import { percentile, type Spread, shareWithin, spreadOf } from '../harness/statistics.ts'
import type { Curve } from '../latency/program.ts'
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

  curve(): Curve {
    const sorted = Float64Array.from(this.#latenciesMs).toSorted()
    return {
      p1Ms: percentile(sorted, 0.01),
      p10Ms: percentile(sorted, 0.1),
      p25Ms: percentile(sorted, 0.25),
      p75Ms: percentile(sorted, 0.75),
      p90Ms: percentile(sorted, 0.9),
      p999Ms: percentile(sorted, 0.999),
    }
  }

  shareWithin(limitMs: number): number {
    return shareWithin(this.#latenciesMs, limitMs)
  }
}
