import type { OutgoingEvent } from './encode.ts'

/** The most that one script call appends; a larger event goes alone. */
const BATCH_EVENTS = 512
const BATCH_BYTES = 1024 * 1024

/** Events that have no sequence yet, in order. */
export class Outbox {
  #events: OutgoingEvent[] = []
  #head = 0

  /** How many there are, with some that were given up. */
  get size(): number {
    return this.#events.length - this.#head
  }

  push(event: OutgoingEvent): void {
    this.#events.push(event)
  }

  /**
   * The next batch, within these bounds; empty when there is nothing or it does not fit. An event that
   * never fits is taken alone, when nothing else is under way.
   */
  take(
    mostEvents: number,
    mostBytes: number,
    nothingUnderWay: boolean,
  ): { events: OutgoingEvent[]; bytes: number } {
    const events: OutgoingEvent[] = []
    let bytes = 0
    for (; this.#head < this.#events.length; this.#head++) {
      const event = this.#events[this.#head]
      if (event === undefined || event.call.settled) continue
      const alone = events.length === 0
      if (events.length >= BATCH_EVENTS || events.length >= mostEvents) break
      if (!alone && bytes + event.bytes > BATCH_BYTES) break
      if (bytes + event.bytes > mostBytes && !(alone && nothingUnderWay)) break
      events.push(event)
      bytes += event.bytes
    }
    this.#compact()
    return { events, bytes }
  }

  /** The event that is next, of those that somebody still waits for. */
  peek(): OutgoingEvent | undefined {
    for (; this.#head < this.#events.length; this.#head++) {
      const event = this.#events[this.#head]
      if (event !== undefined && !event.call.settled) return event
    }
    return undefined
  }

  /** All events in order, also those that were given up. */
  *waiting(): Iterable<OutgoingEvent> {
    for (let i = this.#head; i < this.#events.length; i++) {
      const event = this.#events[i]
      if (event !== undefined) yield event
    }
  }

  /** Lets go of events that were given up; says whether any is left. */
  prune(): boolean {
    this.#events = this.#events.slice(this.#head).filter((event) => !event.call.settled)
    this.#head = 0
    return this.#events.length > 0
  }

  #compact(): void {
    if (this.#head === this.#events.length) {
      this.#events = []
      this.#head = 0
    } else if (this.#head > 4_096 && this.#head * 2 > this.#events.length) {
      this.#events = this.#events.slice(this.#head)
      this.#head = 0
    }
  }
}
