import type { Clock } from '../lifecycle/clock.ts'

/**
 * How long what was taken in is kept although nothing more is asked for, in milliseconds: whoever asks
 * again and again pauses only for a moment in between.
 */
const LINGER_MS = 100

/**
 * How many events a member may still hand to its handler. A member that takes ahead may always; one
 * that takes on demand only as many as were asked for, and what it holds beyond that goes back.
 */
export class Demand {
  /** Whether it takes events only when asked. */
  readonly isLimited: boolean
  readonly #clock: Clock
  readonly #giveBack: () => void
  #open: number
  #cancel: (() => void) | undefined

  /** @param giveBack called when nothing has been asked for during a moment */
  constructor(take: 'ahead' | 'on-demand', clock: Clock, giveBack: () => void) {
    this.isLimited = take === 'on-demand'
    this.#open = this.isLimited ? 0 : Number.POSITIVE_INFINITY
    this.#clock = clock
    this.#giveBack = giveBack
  }

  /** How many more handlers may start. */
  get open(): number {
    return this.#open
  }

  /** So many are asked for from now on, whatever was asked for before. */
  ask(count: number): void {
    this.#open = count
    if (count === 0) this.#linger()
    else this.#stay()
  }

  /** A handler starts. */
  started(): void {
    if (this.isLimited && this.#open > 0) this.ask(this.#open - 1)
  }

  /**
   * Events have come by reading, and so many wait for a handler: whoever asked is content with these,
   * so that none is read that nobody waits for.
   */
  met(waiting: number): void {
    if (this.isLimited) this.ask(Math.min(this.#open, waiting))
  }

  /** Something waits here; unless somebody asks soon, it goes back. */
  gained(): void {
    if (this.isLimited && this.#open === 0) this.#linger()
  }

  close(): void {
    this.#stay()
  }

  #linger(): void {
    this.#cancel ??= this.#clock.after(LINGER_MS, () => {
      this.#cancel = undefined
      this.#giveBack()
    })
  }

  #stay(): void {
    this.#cancel?.()
    this.#cancel = undefined
  }
}
