import type { LeaseView } from '../delivery/context.ts'
import { abortAtMs } from '../lease/observation.ts'
import type { Identity } from './answers.ts'

/**
 * One stay in the group, under one token and one consumer name, from joining to its end. The same
 * process may have several one after the other, each on a reading connection of its own.
 */
export class Membership {
  readonly identity: Identity
  readonly lease: LeaseView
  readonly leaseMs: number
  readonly #ended = new AbortController()
  #trustedUntilMs: number

  /** @param sentMs when the script that made it a member was sent */
  constructor(identity: Identity, leaseMs: number, sentMs: number) {
    this.identity = identity
    this.lease = Object.freeze({ token: identity.token })
    this.leaseMs = leaseMs
    this.#trustedUntilMs = abortAtMs(sentMs, leaseMs)
  }

  /** Fires when the stay is over; whatever was to be written in its name is not waited for. */
  get signal(): AbortSignal {
    return this.#ended.signal
  }

  /** Until when its lease is certain, by the monotonic clock, whatever happens meanwhile. */
  get trustedUntilMs(): number {
    return this.#trustedUntilMs
  }

  /** A beat that was sent then is confirmed. */
  confirm(sentMs: number): void {
    this.#trustedUntilMs = Math.max(this.#trustedUntilMs, abortAtMs(sentMs, this.leaseMs))
  }

  end(reason: Error): void {
    this.#ended.abort(reason)
  }
}
