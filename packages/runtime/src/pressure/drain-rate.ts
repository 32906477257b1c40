/**
 * How fast the slowest reader works, from how many events it had done at several moments. Positions are
 * stored in steps, so only a stretch of some seconds says something.
 */
export class DrainRate {
  #samples: readonly { readonly atMs: number; readonly processed: number }[] = []

  /** `processed` only rises while the same reader is the slowest. */
  sample(processed: number, nowMs: number): void {
    const last = this.#samples.at(-1)
    // Somebody slower has come, or the stream was created anew: what was measured says nothing of that.
    const kept = last !== undefined && processed < last.processed ? [] : this.#samples
    const inside = kept.findLastIndex(({ atMs }) => atMs <= nowMs - WINDOW_MS)
    this.#samples = [...kept.slice(Math.max(inside, 0)), { atMs: nowMs, processed }]
  }

  /** Undefined until enough was seen. */
  get perSecond(): number | undefined {
    const first = this.#samples[0]
    const last = this.#samples.at(-1)
    if (first === undefined || last === undefined) return undefined
    const spanMs = last.atMs - first.atMs
    if (spanMs < SHORTEST_MS) return undefined
    return ((last.processed - first.processed) / spanMs) * 1_000
  }
}

const WINDOW_MS = 5_000
/** Longer than the third of a lease after which consumers store their positions. */
const SHORTEST_MS = 1_500
