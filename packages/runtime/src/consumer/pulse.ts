import type { Core } from '../core.ts'
import { beatEveryMs } from '../lease/observation.ts'
import type { StreamKeys } from '../stream/keys.ts'
import { type CheckpointAnswer, type CheckpointRequest, checkpoint } from './checkpoint-script.ts'

/** One holder whose beat and position travel with the pulse. */
export interface Pulsed {
  readonly leaseMs: number
  /** Whether nothing is in flight, and the server has all there is to store. */
  readonly isIdle: boolean
  /** What to store now. */
  request(): CheckpointRequest
  /** The server answered; `sentMs` is when the request left, by the monotonic clock. */
  answered(request: CheckpointRequest, answer: CheckpointAnswer, sentMs: number): void
  /** No answer came within the lease. */
  unanswered(error: unknown): void
}

/** More than this in one script would keep Redis from others for milliseconds. */
const MOST_IN_ONE_SCRIPT = 128

/**
 * The heartbeat of one stream in this process: beats and positions of all consumers that hold a lease
 * here travel in one script, each third of the shortest lease or half of it while all are idle, and sooner
 * when somebody asks.
 */
export class Pulse {
  readonly #core: Core
  readonly #keys: StreamKeys
  readonly #holders = new Set<Pulsed>()
  /** Who asked to be heard before the next regular beat. */
  #urgent = new Set<Pulsed>()
  #cancelTimer: (() => void) | undefined
  /** The lease that the next regular beat was timed for. */
  #scheduledForMs = Number.POSITIVE_INFINITY
  #sending = false

  constructor(core: Core, keys: StreamKeys) {
    this.#core = core
    this.#keys = keys
  }

  add(holder: Pulsed): void {
    this.#holders.add(holder)
    // The next beat may be meant for longer leases than this one.
    if (holder.leaseMs < this.#scheduledForMs) this.#unschedule()
    // Streams that are opened together are not to beat together for ever.
    this.#schedule(0.25 + Math.random() * 0.75)
  }

  remove(holder: Pulsed): void {
    this.#holders.delete(holder)
    this.#urgent.delete(holder)
    if (this.#holders.size === 0) this.#unschedule()
  }

  /** Sends this holder's request as soon as no other is on its way. */
  soon(holder: Pulsed): void {
    if (!this.#holders.has(holder)) return
    this.#urgent.add(holder)
    void this.#sendUrgent()
  }

  /** Plans the next beat, after the usual time or a share of it. */
  #schedule(share = 1): void {
    if (this.#cancelTimer !== undefined || this.#holders.size === 0) return
    let shortest = Number.POSITIVE_INFINITY
    let isIdle = true
    for (const holder of this.#holders) {
      shortest = Math.min(shortest, holder.leaseMs)
      isIdle &&= holder.isIdle
    }
    this.#scheduledForMs = shortest
    this.#cancelTimer = this.#core.clock.after(beatEveryMs(shortest, isIdle) * share, () => {
      this.#cancelTimer = undefined
      for (const holder of this.#holders) this.#urgent.add(holder)
      void this.#sendUrgent()
      this.#schedule()
    })
  }

  #unschedule(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
  }

  async #sendUrgent(): Promise<void> {
    if (this.#sending) return
    this.#sending = true
    // What is asked for in the same turn of the event loop travels together.
    await Promise.resolve()
    try {
      while (this.#urgent.size > 0) {
        const holders = [...this.#urgent]
        this.#urgent = new Set()
        const parts: Promise<void>[] = []
        for (let i = 0; i < holders.length; i += MOST_IN_ONE_SCRIPT) {
          parts.push(this.#send(holders.slice(i, i + MOST_IN_ONE_SCRIPT)))
        }
        await Promise.all(parts)
      }
    } finally {
      this.#sending = false
    }
  }

  async #send(all: readonly Pulsed[]): Promise<void> {
    const holders = all.filter((holder) => this.#holders.has(holder))
    if (holders.length === 0) return
    const requests = holders.map((holder) => holder.request())
    const shortestMs = Math.min(...holders.map(({ leaseMs }) => leaseMs))
    let sentMs = 0
    try {
      // Repeating the very same request does no harm, so a lost answer is simply asked for again.
      const answers = await this.#core.connections.call(
        'control',
        this.#keys.tag,
        (session) => {
          sentMs = this.#core.clock.monotonicMs()
          return checkpoint(session, this.#keys, requests)
        },
        { deadlineMs: shortestMs },
      )
      holders.forEach((holder, i) => {
        const request = requests[i]
        const answer = answers[i]
        if (request !== undefined && answer !== undefined) holder.answered(request, answer, sentMs)
      })
    } catch (error) {
      for (const holder of holders) holder.unanswered(error)
    }
  }
}
