/** What a handler is told about one delivery, beside the event. */
export interface DeliveryContext {
  /**
   * Fires when the handler should give up: the lease is lost or in doubt, the handler ran longer than
   * `handlerTimeoutMs`, or the deadline of closing has passed. Its reason is a MillraceError.
   */
  readonly signal: AbortSignal
  /** The number of this attempt, from 1. */
  readonly attempt: number
  /** Whether the event may have been started before, here or by another member or holder. */
  readonly redelivered: boolean
  /**
   * Whether the event comes back from the dead letters: outside of the stream's order, with attempts
   * that begin anew.
   */
  readonly redriven: boolean
  /** The lease under which the handler runs; `token` rises with each holder and fences side effects. */
  readonly lease: LeaseView
}

/** What a handler sees of the lease. */
export interface LeaseView {
  readonly token: string
}

/**
 * The context of one delivery. An AbortController costs as much as a whole trivial delivery, so there
 * is none until the handler asks for the signal.
 */
export class Delivery implements DeliveryContext {
  readonly attempt: number
  readonly redelivered: boolean
  readonly redriven: boolean
  readonly lease: LeaseView
  #controller: AbortController | undefined
  #reason: Error | undefined

  constructor(attempt: number, redelivered: boolean, lease: LeaseView, redriven = false) {
    this.attempt = attempt
    this.redelivered = redelivered || redriven
    this.redriven = redriven
    this.lease = lease
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#reason !== undefined) this.#controller.abort(this.#reason)
    }
    return this.#controller.signal
  }

  /** Why the delivery was aborted, if it was. */
  get abortReason(): Error | undefined {
    return this.#reason
  }

  /** Fires the signal; the first reason stays. */
  abort(reason: Error): void {
    if (this.#reason !== undefined) return
    this.#reason = reason
    this.#controller?.abort(reason)
  }
}
