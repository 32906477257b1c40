import type { CheckpointRequest } from './checkpoint-script.ts'

/**
 * Who waits for the server to confirm what this process knows. An answer counts only for those who
 * asked before its request was made: what was sent earlier may have been answered by a server that
 * is no longer the one.
 */
export class Confirmations {
  #waiting: { request: CheckpointRequest | undefined; readonly confirmed: () => void }[] = []

  get pending(): boolean {
    return this.#waiting.length > 0
  }

  /** Resolves once a request that is made from now on was confirmed. */
  next(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiting.push({ request: undefined, confirmed: resolve })
    return promise
  }

  /** A request was made. */
  made(request: CheckpointRequest): void {
    for (const waiter of this.#waiting) waiter.request ??= request
  }

  /** A request was refused and is made again in another form: that one counts in its place. */
  refused(request: CheckpointRequest): void {
    for (const waiter of this.#waiting) if (waiter.request === request) waiter.request = undefined
  }

  /** A request was confirmed. */
  confirmed(request: CheckpointRequest): void {
    const done = this.#waiting.filter((waiter) => waiter.request === request)
    this.#waiting = this.#waiting.filter((waiter) => waiter.request !== request)
    for (const waiter of done) waiter.confirmed()
  }
}
