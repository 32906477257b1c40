import type { TimedEvent } from '../load/timed-event.ts'
import type { Place } from '../harness/workbench.ts'

/** A library that brings events from a publisher to a handler and settles them at the broker. */
export interface Peer {
  /** How many calls of `publish` are under way at once when there is much to send. */
  readonly chunksInFlight: number
  openPublisher(place: Place): Promise<Publisher>
  /**
   * Hands each event to `handle`, and settles it after that. Resolves when it will get all that is
   * published from now on.
   */
  subscribe(place: Place, handle: (event: TimedEvent) => void): Promise<Subscription>
}

export interface Publisher {
  /** Resolves when the broker has confirmed all of them. */
  publish(events: readonly TimedEvent[]): Promise<unknown>
  close(): Promise<unknown>
}

export interface Subscription {
  /** How many events the broker has handed out for which it does not know yet that they were handled. */
  unsettled(): Promise<number>
  close(): Promise<unknown>
}
