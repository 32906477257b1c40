import type { Clock } from '../lifecycle/clock.ts'

/** What stands in line: the events of one call. */
export interface Passing<Event> {
  /** Whether nobody waits for it any more. */
  readonly isGone: () => boolean
  readonly events: readonly Event[]
}

/**
 * Lets calls through in order, so many events per second. A call passes as a whole once there is any
 * allowance, and what it takes too much is made up for afterwards. Nor does one pass while too much of what
 * has passed is not on its way yet: that could not be held back any more.
 */
export class Gate<Event> {
  readonly #clock: Clock
  readonly #hasRoom: () => boolean
  readonly #accept: (events: readonly Event[]) => void
  #line: Passing<Event>[] = []
  #perSecond = Number.POSITIVE_INFINITY
  #allowance = 0
  #countedAtMs = 0
  #cancel: (() => void) | undefined

  constructor(clock: Clock, hasRoom: () => boolean, accept: (events: readonly Event[]) => void) {
    this.#clock = clock
    this.#hasRoom = hasRoom
    this.#accept = accept
  }

  get isOpen(): boolean {
    const isUnpaced = this.#perSecond === Number.POSITIVE_INFINITY && this.#line.length === 0
    return isUnpaced && this.#hasRoom()
  }

  /** Takes its place at the end of the line. */
  enter(passing: Passing<Event>): void {
    this.#line.push(passing)
    this.#advance()
  }

  setRate(perSecond: number): void {
    this.#count()
    this.#perSecond = perSecond
    this.#advance()
  }

  /** Lets go of what nobody waits for any more. */
  prune(): void {
    if (this.#line.length > 0) this.#line = this.#line.filter((one) => !one.isGone())
  }

  stop(): void {
    this.#cancel?.()
    this.#cancel = undefined
    this.#line = []
  }

  #advance(): void {
    this.#cancel?.()
    this.#cancel = undefined
    this.#count()
    let passed = 0
    for (const one of this.#line) {
      if (!one.isGone()) {
        if (this.#allowance <= 0 || this.#perSecond <= 0 || !this.#hasRoom()) break
        this.#allowance -= one.events.length
        this.#accept(one.events)
      }
      passed++
    }
    if (passed > 0) this.#line.splice(0, passed)
    if (this.#line.length === 0 || this.#perSecond <= 0) return
    const missing = Math.max(1 - this.#allowance, 0)
    const waitMs = Math.min(Math.max((missing / this.#perSecond) * 1_000, STEP_MS), LONGEST_MS)
    this.#cancel = this.#clock.after(waitMs, () => {
      this.#cancel = undefined
      this.#advance()
    })
  }

  /** What has come together since the last time; nobody can save up for long. */
  #count(): void {
    const nowMs = this.#clock.monotonicMs()
    const elapsedMs = nowMs - this.#countedAtMs
    this.#countedAtMs = nowMs
    if (this.#perSecond === Number.POSITIVE_INFINITY) {
      this.#allowance = Number.POSITIVE_INFINITY
      return
    }
    const most = Math.max((this.#perSecond * SAVED_MS) / 1_000, 1)
    const gained = (this.#perSecond * elapsedMs) / 1_000
    this.#allowance = Math.min(this.#allowance + gained, most)
  }
}

/** Steps so short that a delayed stream is still smooth, and so long that they carry whole batches. */
const STEP_MS = 10
const SAVED_MS = 50
const LONGEST_MS = 1_000
