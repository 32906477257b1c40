import type { OutgoingEvent } from './encode.ts'
import type { PublishCall } from './publish-call.ts'

/**
 * Keeps the order of calls while schemas are asked that answer later: what was published after an
 * event that is still being validated waits behind it.
 */
export class Intake {
  #places: Place[] = []
  readonly #accept: (events: readonly OutgoingEvent[]) => void

  constructor(accept: (events: readonly OutgoingEvent[]) => void) {
    this.#accept = accept
  }

  /** Whether somebody waits, so that others have to queue up. */
  get busy(): boolean {
    return this.#places.length > 0
  }

  /** Takes a place in the order; the events go on once they are valid and it is their turn. */
  enter(call: PublishCall, events: readonly OutgoingEvent[], validated: Promise<unknown>): void {
    const place: Place = { call, events, valid: false }
    this.#places.push(place)
    validated.then(
      () => {
        place.valid = true
        this.advance()
      },
      (error: unknown) => {
        call.fail(error instanceof Error ? error : new Error(String(error)))
        this.advance()
      },
    )
  }

  /** Lets everybody through whose turn it is; called when a call was given up, too. */
  advance(): void {
    let next = this.#places[0]
    while (next !== undefined && (next.valid || next.call.settled)) {
      this.#places.shift()
      if (!next.call.settled) this.#accept(next.events)
      next = this.#places[0]
    }
  }
}

interface Place {
  readonly call: PublishCall
  readonly events: readonly OutgoingEvent[]
  valid: boolean
}
