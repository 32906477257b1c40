import type { Delivered } from './message.ts'

/** What one receive asks for. */
export interface ReceiveRequest {
  readonly max: number
  readonly visibilityMs: number
}

/** One receive that waits for messages. */
export interface Receiver {
  readonly request: ReceiveRequest
  readonly messages: Delivered[]
  /** Answers the receive with what it has. */
  finish(): void
}

/**
 * The receives that wait, first come, first served. A receive is answered as soon as turns of the event loop
 * bring it no further message, so that it takes along what one read of the stream has brought.
 */
export class Receivers {
  readonly #waiting = new Set<Receiver>()

  /** How many more messages there is use for. */
  get wanted(): number {
    let wanted = 0
    for (const { request, messages } of this.#waiting) wanted += request.max - messages.length
    return wanted
  }

  /** The receive whose turn it is. */
  get next(): Receiver | undefined {
    for (const receiver of this.#waiting) return receiver
    return undefined
  }

  add(receiver: Receiver): void {
    this.#waiting.add(receiver)
  }

  remove(receiver: Receiver): void {
    this.#waiting.delete(receiver)
  }

  /** Hands a message to a receive. */
  give(receiver: Receiver, message: Delivered): void {
    receiver.messages.push(message)
    // A full one is out of the way of the next message at once.
    if (receiver.messages.length >= receiver.request.max) this.#waiting.delete(receiver)
    if (receiver.messages.length === 1) finishWhenQuiet(receiver, 0)
  }

  finishAll(): void {
    for (const receiver of [...this.#waiting]) receiver.finish()
  }
}

/** Handlers that take their time are started over several turns, each after a check of this one. */
const QUIET_TURNS = 2

/**
 * @param before how many messages it had a turn ago
 * @param quiet for how many turns nothing has come
 */
function finishWhenQuiet(receiver: Receiver, before: number, quiet = 0): void {
  const { length } = receiver.messages
  const turns = length === before ? quiet + 1 : 0
  if (turns >= QUIET_TURNS || length >= receiver.request.max) {
    receiver.finish()
    return
  }
  setImmediate(() => {
    finishWhenQuiet(receiver, length, turns)
  })
}
