import type { Subscription } from '../tail/subscription.ts'

/** How many events may be done above the watermark before reading pauses. */
const MAX_AHEAD = 10_000

/** Credit goes back to the subscription unless too many done events wait for one below them. */
export class WithheldCredit {
  readonly #subscription: Subscription
  #events = 0
  #bytes = 0

  constructor(subscription: Subscription) {
    this.#subscription = subscription
  }

  /** One event of this size is done, and so many are done above the watermark. */
  release(bytes: number, doneAbove: number): void {
    this.#events++
    this.#bytes += bytes
    if (doneAbove > MAX_AHEAD) return
    const events = this.#events
    const allBytes = this.#bytes
    this.forget()
    this.#subscription.release(events, allBytes)
  }

  /** Reading begins anew, with all credit. */
  forget(): void {
    this.#events = 0
    this.#bytes = 0
  }
}
