import type { Clock } from '../lifecycle/clock.ts'
import { abortAtMs } from './observation.ts'

/**
 * How long a holder may rely on its lease: counted from when the last confirmed beat was sent, not
 * from when its answer came. Calls back when that time is over without another confirmation.
 */
export class LeaseTrust {
  readonly #clock: Clock
  readonly #leaseMs: number
  readonly #onExpired: () => void
  #untilMs = 0
  #cancel: (() => void) | undefined

  constructor(clock: Clock, leaseMs: number, onExpired: () => void) {
    this.#clock = clock
    this.#leaseMs = leaseMs
    this.#onExpired = onExpired
  }

  /** A beat that was sent then has been confirmed. */
  confirmed(sentMs: number): void {
    this.#cancel?.()
    this.#untilMs = abortAtMs(sentMs, this.#leaseMs)
    this.#cancel = this.#clock.after(
      Math.max(this.#untilMs - this.#clock.monotonicMs(), 0),
      this.#onExpired,
    )
  }

  /** Asked with the time itself, because a process that was stalled runs its timers late. */
  holdsAt(nowMs: number): boolean {
    return nowMs < this.#untilMs
  }

  end(): void {
    this.#cancel?.()
  }
}
