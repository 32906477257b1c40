import type { Clock } from '../lifecycle/clock.ts'
import type { StartPermit } from './dispatcher.ts'
import type { Membership } from './membership.ts'

/** Watches the certainty of a lease on the member's own clock, without waiting for news from Redis. */
export class LeaseGuard {
  readonly #clock: Clock
  readonly #onDoubt: () => void
  #membership: Membership | undefined
  #permit: StartPermit | undefined
  #cancel: (() => void) | undefined

  /** @param onDoubt called when no beat was confirmed in time: handlers have to be told */
  constructor(clock: Clock, onDoubt: () => void) {
    this.#clock = clock
    this.#onDoubt = onDoubt
  }

  get membership(): Membership | undefined {
    return this.#membership
  }

  /** Under what handlers may start; whoever uses it compares `untilMs` with the time. */
  get permit(): StartPermit | undefined {
    return this.#permit
  }

  set membership(membership: Membership | undefined) {
    this.#membership = membership
    this.confirmed()
  }

  /** The lease is certain until a later moment. */
  confirmed(): void {
    const membership = this.#membership
    if (membership === undefined) {
      this.#permit = undefined
      return
    }
    const { identity, lease, trustedUntilMs } = membership
    this.#permit = { lease, incarnation: identity.incarnation, untilMs: trustedUntilMs }
    this.#arm(trustedUntilMs)
  }

  /** Permits nothing until the next confirmation; the membership stays. */
  suspend(): void {
    this.#permit = undefined
  }

  close(): void {
    this.#cancel?.()
    this.#cancel = undefined
    this.#permit = undefined
  }

  /** One timer that is set again when it fires, instead of one for each beat. */
  #arm(untilMs: number): void {
    this.#cancel ??= this.#clock.after(Math.max(untilMs - this.#clock.monotonicMs(), 1), () => {
      this.#cancel = undefined
      const current = this.#membership
      if (current === undefined) return
      if (this.#clock.monotonicMs() < current.trustedUntilMs) this.#arm(current.trustedUntilMs)
      else this.#onDoubt()
    })
  }
}
