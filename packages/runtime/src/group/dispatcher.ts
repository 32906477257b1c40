import { Delivery, type GroupDeliveryContext, type LeaseView } from '../delivery/context.ts'
import { isThenable } from '../delivery/thenable.ts'
import { MillraceError } from '../errors.ts'
import type { Clock } from '../lifecycle/clock.ts'
import type { RawEntry } from '../stream/entry.ts'
import type { Event, Settled } from '../stream/event.ts'
import type { Held } from './held.ts'
import { ReadyQueue } from './ready-queue.ts'
import { done, interrupted, type Outcome } from './verdict.ts'

/** Handles one event; the event counts as handled when the returned promise has resolved. */
export type GroupHandler<Data> = (event: Event<Data>, context: GroupDeliveryContext) => unknown

/** Under what a handler may start; undefined while none may. */
export interface StartPermit {
  readonly lease: LeaseView
  readonly incarnation: string
  /** No handler starts at or after this moment of the monotonic clock. */
  readonly untilMs: number
}

export interface DispatcherOptions<Data> {
  readonly clock: Clock
  readonly concurrency: number
  readonly handlerTimeoutMs: number
  /** Decodes an entry, and fetches its payload where it lies elsewhere. */
  decode(
    entry: RawEntry,
    incarnation: string,
    held: Held,
    delivery: Delivery,
  ): Promise<Settled<Data>> | Settled<Data>
  /** The payload of an entry is needed no more. */
  settled(held: Held): void
  readonly handler: GroupHandler<Data>
  permit(): StartPermit | undefined
  /** Told when a handler is about to start. */
  starting(): void
  /** Told once for each entry that was started, when its handler has settled. */
  finished(held: Held, outcome: Outcome): void
  /**
   * Told when the handler of an entry has settled that is no longer this member's; without an outcome when
   * that counts for the entry that was handed out anew.
   */
  finishedLost(held: Held, outcome: Outcome | undefined): void
}

/** How long handlers may start one after the other before timers and sockets get their turn. */
const BURST_MS = 8

/** Runs handlers, so many at a time. */
export class Dispatcher<Data> {
  readonly #options: DispatcherOptions<Data>
  readonly #ready = new ReadyQueue()
  /** Those whose handlers have returned a promise, oldest first. */
  readonly #running = new Set<Held>()
  /** Runs that no longer count, by id: the same event must not start here before they have settled. */
  readonly #lost = new Map<string, Held>()
  /** Entries that wait for the lost run of the same event. */
  readonly #behindLost = new Map<string, Held>()
  #pumping = false
  #pumpScheduled = false
  #cancelSweep: (() => void) | undefined

  constructor(options: DispatcherOptions<Data>) {
    this.#options = options
  }

  get waiting(): number {
    return this.#ready.size
  }

  /** Handlers that run, those of lost entries too. */
  get running(): number {
    return this.#running.size
  }

  runningIds(): string[] {
    return [...this.#running].map((held) => held.eventId)
  }

  enqueue(held: Held): void {
    this.#ready.push(held)
  }

  /** Takes back everything that has not been started. */
  takeWaiting(): Held[] {
    const waiting = [...this.#ready.empty(), ...this.#behindLost.values()]
    this.#behindLost.clear()
    return waiting
  }

  /** Starts what may be started. */
  pump(): void {
    if (this.#pumping) return
    this.#pumping = true
    const { clock, concurrency } = this.#options
    const burstEndMs = clock.monotonicMs() + BURST_MS
    try {
      while (this.#running.size < concurrency && this.#ready.size > 0) {
        const permit = this.#options.permit()
        const nowMs = clock.monotonicMs()
        if (permit === undefined || nowMs >= permit.untilMs) break
        if (nowMs >= burstEndMs) {
          // Handlers that never wait must not keep the beat from being sent.
          this.#pumpLater()
          break
        }
        const held = this.#ready.take()
        if (held !== undefined) this.#start(held, permit, nowMs)
      }
    } finally {
      this.#pumping = false
    }
  }

  /** Fires the signals of all running handlers. */
  abortRunning(reason: Error): void {
    for (const held of this.#running) held.delivery?.abort(reason)
  }

  /** These entries, or all that run, are no longer this member's; their handlers are told. */
  disown(reason: Error, entries: Iterable<Held> = this.#running): void {
    for (const held of entries) {
      held.lost = true
      if (this.#running.has(held)) this.#lost.set(held.key, held)
      held.delivery?.abort(reason)
    }
  }

  close(): void {
    this.#cancelSweep?.()
    this.#cancelSweep = undefined
  }

  #pumpLater(): void {
    if (this.#pumpScheduled) return
    this.#pumpScheduled = true
    setImmediate(() => {
      this.#pumpScheduled = false
      this.pump()
    })
  }

  #start(held: Held, permit: StartPermit, nowMs: number): void {
    if (held.lost) return
    if (this.#lost.size > 0 && this.#lost.has(held.key)) {
      this.#behindLost.set(held.key, held)
      return
    }
    const fields = held.fields
    if (fields === undefined) throw new MillraceError('INTERNAL', `Event ${held.id} has no payload`)
    held.fields = undefined
    this.#options.starting()
    held.phase = 'running'
    held.startedMs = nowMs
    held.timedOut = false
    const { attempt, redriven } = held
    held.delivery = new Delivery(attempt, held.redelivered || attempt > 1, permit.lease, redriven)
    const decoded = this.#options.decode(
      [held.eventId, fields],
      permit.incarnation,
      held,
      held.delivery,
    )
    if (!(decoded instanceof Promise)) {
      this.#handle(held, decoded, held.delivery)
      return
    }
    this.#track(held)
    const { delivery } = held
    decoded.then(
      (settled) => {
        // The lease may have gone while the schema or the blob store was waited for; then the handler must
        // not start.
        const gone = held.lost || delivery.abortReason !== undefined || !this.#mayStart()
        if (gone) this.#finish(held, interrupted)
        else this.#handle(held, settled, delivery)
      },
      (error: unknown) => {
        this.#finish(held, this.#failure(held, error))
      },
    )
  }

  #mayStart(): boolean {
    const permit = this.#options.permit()
    return permit !== undefined && this.#options.clock.monotonicMs() < permit.untilMs
  }

  #handle(held: Held, decoded: Settled<Data>, delivery: Delivery): void {
    if (!decoded.ok) {
      this.#finish(held, { kind: 'invalid', error: decoded.error })
      return
    }
    held.traceparent = decoded.event.headers['traceparent']
    let result: unknown
    try {
      result = this.#options.handler(decoded.event, delivery)
    } catch (error) {
      this.#finish(held, this.#failure(held, error))
      return
    }
    if (!isThenable(result)) {
      this.#finish(held, done)
      return
    }
    this.#track(held)
    // A foreign thenable may do anything; a promise of ours does not.
    const settled = result instanceof Promise ? result : Promise.resolve(result)
    settled.then(
      () => {
        this.#finish(held, held.timedOut ? this.#failure(held, held.delivery?.abortReason) : done)
      },
      (error: unknown) => {
        this.#finish(held, this.#failure(held, error))
      },
    )
  }

  /** An error after a signal that was no fault of the event does not count against it. */
  #failure(held: Held, error: unknown): Outcome {
    if (!held.timedOut && held.delivery?.abortReason !== undefined) return interrupted
    return { kind: 'failed', error: held.timedOut ? held.delivery?.abortReason : error }
  }

  #finish(held: Held, outcome: Outcome): void {
    if (this.#running.size > 0) this.#running.delete(held)
    this.#options.settled(held)
    if (held.lost) this.#finishLost(held, outcome)
    else this.#options.finished(held, outcome)
    if (!this.#pumping) this.pump()
  }

  /** What succeeded here need not run again if it was handed to this member anew meanwhile. */
  #finishLost(held: Held, outcome: Outcome): void {
    held.delivery?.conclude(false)
    const isLatest = this.#lost.get(held.key) === held
    const next = isLatest ? this.#behindLost.get(held.key) : undefined
    if (isLatest) {
      this.#lost.delete(held.key)
      this.#behindLost.delete(held.key)
    }
    if (next === undefined || outcome.kind !== 'done') {
      this.#options.finishedLost(held, outcome)
      if (next !== undefined) this.#ready.push(next)
      return
    }
    // One run of the handler, which is told of once.
    next.startedMs = held.startedMs
    this.#options.finished(next, done)
    this.#options.finishedLost(held, undefined)
  }

  #track(held: Held): void {
    this.#running.add(held)
    this.#cancelSweep ??= this.#options.clock.after(this.#options.handlerTimeoutMs, () => {
      this.#sweep()
    })
  }

  /** One timer for all handlers: they are in the order in which they started. */
  #sweep(): void {
    this.#cancelSweep = undefined
    const { clock, handlerTimeoutMs } = this.#options
    const nowMs = clock.monotonicMs()
    for (const held of this.#running) {
      const leftMs = held.startedMs + handlerTimeoutMs - nowMs
      if (leftMs > 0) {
        this.#cancelSweep = clock.after(Math.ceil(leftMs), () => {
          this.#sweep()
        })
        return
      }
      if (held.timedOut || held.lost) continue
      held.timedOut = true
      held.delivery?.abort(
        new MillraceError(
          'HANDLER_FAILED',
          `The handler of ${held.eventId} ran longer than ${handlerTimeoutMs} ms`,
        ),
      )
    }
  }
}
