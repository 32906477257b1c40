import { setTimeout as pause } from 'node:timers/promises'
import { timedEventAt } from '../load/timed-event.ts'
import type { Publisher } from './peer.ts'

/** What became of the events. */
export type Confirmed = {
  /** The sequences of those that the broker has confirmed. */
  readonly sequences: readonly number[]
  /** How many were refused with an error, or got no answer. */
  readonly failed: number
}

/** An answer that takes longer is none. */
const LAST_ANSWERS_MS = 5_000

/** Publishes at a steady rate without waiting for answers, as a service goes on getting requests. */
export class SteadyPublisher {
  readonly #publisher: Publisher
  readonly #timer: NodeJS.Timeout
  readonly #startMs = performance.now()
  readonly #perSecond: number
  readonly #from: number
  readonly #outstanding = new Set<Promise<void>>()
  readonly #confirmed: number[] = []
  #sent = 0

  constructor(publisher: Publisher, perSecond: number, from: number) {
    this.#publisher = publisher
    this.#perSecond = perSecond
    this.#from = from
    this.#timer = setInterval(() => this.#sendDue(), 1_000 / perSecond)
  }

  async end(): Promise<Confirmed> {
    clearInterval(this.#timer)
    await Promise.race([Promise.all(this.#outstanding), pause(LAST_ANSWERS_MS)])
    return { sequences: this.#confirmed, failed: this.#sent - this.#confirmed.length }
  }

  #sendDue(): void {
    const due = Math.floor(((performance.now() - this.#startMs) / 1_000) * this.#perSecond)
    while (this.#sent < due) {
      const sequence = this.#from + this.#sent
      this.#sent += 1
      const answer = this.#send(sequence).finally(() => this.#outstanding.delete(answer))
      this.#outstanding.add(answer)
    }
  }

  async #send(sequence: number): Promise<void> {
    try {
      await this.#publisher.publish([timedEventAt(sequence)])
      this.#confirmed.push(sequence)
    } catch {
      // A broker that is away refuses: counted as failed, and not looked for.
    }
  }
}
