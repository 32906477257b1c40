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

/** What the handler of a consumer group is told. */
export interface GroupDeliveryContext extends DeliveryContext {
  /**
   * Resolves once it is certain what became of this delivery, some time after the handler has settled:
   * true when Redis has confirmed that the event is done with; false when it is to be tried again, was
   * given back, or is no longer this member's, so that the handler's result did not count. It stays
   * open when the process is closed without an answer from Redis.
   */
  readonly confirmed: Promise<boolean>
}

/** What a handler sees of the lease. */
export interface LeaseView {
  readonly token: string
}

/**
 * The context of one delivery. An AbortController costs as much as a whole trivial delivery, so there
 * is none until the handler asks for the signal.
 */
export class Delivery implements GroupDeliveryContext {
  readonly attempt: number
  readonly redelivered: boolean
  readonly redriven: boolean
  readonly lease: LeaseView
  #controller: AbortController | undefined
  #reason: Error | undefined
  #confirmed: PromiseWithResolvers<boolean> | undefined
  #isDone: boolean | undefined

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

  get confirmed(): Promise<boolean> {
    if (this.#isDone !== undefined) return Promise.resolve(this.#isDone)
    this.#confirmed ??= Promise.withResolvers()
    return this.#confirmed.promise
  }

  /** It is certain now whether the event is done with; the first answer stays. */
  conclude(isDone: boolean): void {
    this.#isDone ??= isDone
    this.#confirmed?.resolve(this.#isDone)
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
