import type { Decode } from '../../src/stream/decode.ts'
import type { Decoded, Event } from '../../src/stream/event.ts'
import { idOf } from '../../src/tail/batch.ts'
import type { StreamFeed } from '../../src/tail/stream-feed.ts'
import type { Subscriber, Subscription } from '../../src/tail/subscription.ts'

export interface ProbeOptions {
  readonly creditEvents?: number
  readonly creditBytes?: number
  readonly latencyBudgetMs?: number
  /** Whether events are given back at once. @defaultValue true */
  readonly takes?: boolean
}

/** A subscriber that writes down what it is handed. */
export class Probe<Data> implements Subscriber<Data> {
  readonly name = 'probe'
  readonly decode: Decode<Data>
  readonly latencyBudgetMs: number
  readonly creditEvents: number
  readonly creditBytes: number
  readonly ids: string[] = []
  readonly events: Event<Data>[] = []
  readonly interruptions: string[] = []
  readonly subscription: Subscription
  takes: boolean
  #held: Decoded<Data>[] = []

  constructor(feed: StreamFeed, decode: Decode<Data>, options: ProbeOptions = {}) {
    this.decode = decode
    this.latencyBudgetMs = options.latencyBudgetMs ?? 0
    this.creditEvents = options.creditEvents ?? 10_000
    this.creditBytes = options.creditBytes ?? 4 * 1024 * 1024
    this.takes = options.takes ?? true
    this.subscription = feed.subscribe(this)
  }

  receive(batch: readonly Decoded<Data>[]): void {
    for (const decoded of batch) {
      this.ids.push(idOf(decoded))
      if (decoded.ok === true) this.events.push(decoded.event)
      this.#held.push(decoded)
    }
    if (this.takes) this.giveBack(this.#held.length)
  }

  /** What nobody can hand over any more is passed over. */
  gap(goOn: () => void): void {
    goOn()
  }

  interrupted(reason: string): void {
    this.interruptions.push(reason)
    this.#held = []
  }

  /** How many events are held. */
  get held(): number {
    return this.#held.length
  }

  giveBack(count: number): void {
    const given = this.#held.splice(0, count)
    let bytes = 0
    for (const decoded of given) bytes += decoded.bytes
    this.subscription.release(given.length, bytes)
  }
}
