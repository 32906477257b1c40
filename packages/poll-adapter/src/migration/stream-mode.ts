import { channels, compareIds, type Consumer, type Event } from '@millrace/runtime'
import { type Change, changeOf } from '../change/change.ts'
import { messageOf, PollAdapterError } from '../errors.ts'
import { onAbort, pause } from '../lifecycle/signals.ts'
import { absorb } from './absorb.ts'
import { type Cut, parseCut } from './cut.ts'
import { unhealthyReason } from './health.ts'
import type { Seat } from './seat.ts'

/** How often the position is stored while the stream feeds the handler, in milliseconds. */
const NOTE_EVERY_MS = 500
const RETRY_AFTER_MS = 1_000
/** No other mode may begin while a handler runs; its own signal tells it when to give up. */
const WITHOUT_END_MS = 86_400_000

/**
 * Feeds the handler from the stream, through a Consumer of the poller's name, until the signal fires; what
 * is being handled then is finished first. Beside the Consumer's position that in the source is kept, so
 * that polling can go on at any moment. Answers whether the position counts all that was handled.
 */
export async function streamMode<Item, Data>(
  seat: Seat<Item, Data>,
  signal: AbortSignal,
): Promise<boolean> {
  while (seat.mayAct(signal)) {
    const feed = new StreamFeed(seat, signal)
    try {
      await feed.run()
      if (signal.aborted) return seat.held.holds() && !seat.hasFailed
    } catch (error) {
      if (!seat.held.holds()) return false
      seat.report(error)
      await pause(seat.scope.clock, RETRY_AFTER_MS, signal)
    }
  }
  return false
}

class StreamFeed<Item, Data> {
  readonly #seat: Seat<Item, Data>
  readonly #signal: AbortSignal
  readonly #cut: Cut
  /** The event that was started last and has not succeeded: whatever becomes of it, the next one tells. */
  #pending: Event<Data> | undefined
  /** Everything at or before it counts in the position. */
  #notedId: string
  /** Handled since the position was stored. */
  #unnoted = 0
  #first: Promise<void> | undefined
  #broken = ''
  #idleSinceMs: number | undefined

  constructor(seat: Seat<Item, Data>, signal: AbortSignal) {
    this.#seat = seat
    this.#signal = signal
    this.#cut = parseCut(seat.stored.cut)
    this.#notedId = seat.stored.notedId
  }

  async run(): Promise<void> {
    const { millrace, stream, options } = this.#seat.scope
    this.#seat.position.beginPage()
    const consumer = millrace.consumer(stream, {
      name: options.name,
      from: { id: this.#seat.stored.startId === '' ? '0-0' : this.#seat.stored.startId },
      leaseMs: options.leaseMs,
    })
    const offs = [
      ...this.#watchForBreaks(consumer),
      onAbort(this.#signal, () => {
        consumer.pause('switching')
      }),
    ]
    try {
      consumer.start((event, { redriven }) => this.#handle(event, redriven))
      await this.#keepNoting(consumer)
      // Nothing more is started, what runs is finished, and then the position is that of all it has done.
      await consumer.drain({ deadlineMs: WITHOUT_END_MS })
    } finally {
      for (const off of offs) off()
      await consumer.close()
    }
    if (this.#seat.held.holds()) await this.#note()
  }

  async #handle(event: Event<Data>, redriven: boolean): Promise<void> {
    const seat = this.#seat
    this.#assertActing()
    if (redriven) {
      // A dead letter that comes again counts already, and has no place in the order any more.
      const again = changeOf(event) ?? unidentified(event)
      await seat.handle(seat.scope.options.itemOf(event, again), again)
      return
    }
    this.#first ??= this.#catchUp(event.id)
    await this.#first
    this.#settlePending(event.id)
    const change = changeOf(event)
    const { position, scope } = seat
    if (this.#cut.leavesOut(event.id)) {
      this.#settle(event, undefined)
      return
    }
    if (change !== undefined && position.knows(change)) {
      this.#settle(event, change)
      return
    }
    this.#assertActing()
    this.#pending = event
    const found = change ?? unidentified(event)
    await seat.handle(scope.options.itemOf(event, found), found)
    this.#settle(event, change)
    this.#unnoted += 1
    // So many at most are handled again after a crash, however fast they come.
    if (this.#unnoted < scope.options.checkpointEvery) return
    // A failure ends the hold, and with it this mode; it is none of the handler.
    await this.#note().catch(() => undefined)
  }

  /** Refuses to start anything once another mode or another process may act; the Consumer is closing then. */
  #assertActing(): void {
    if (this.#seat.mayAct(this.#signal) && !this.#mustFallBack) return
    throw new PollAdapterError('STATE_INVALID', 'This poller is not fed by the stream any more')
  }

  /** Whatever came now would hide what is missing before it. */
  get #mustFallBack(): boolean {
    return this.#broken !== '' && this.#seat.stored.record.state === 'stream-with-fallback'
  }

  /** What was handled under an earlier hold counts, too, up to the first event of this one. */
  async #catchUp(firstId: string): Promise<void> {
    if (compareIds(this.#notedId === '' ? '0-0' : this.#notedId, firstId) >= 0) return
    await absorb(this.#seat, this.#notedId, (id) => compareIds(id, firstId) < 0, this.#signal)
  }

  /** The consumer has gone past it: it was moved to the dead letters, or given up otherwise. */
  #settlePending(nextId: string): void {
    const pending = this.#pending
    if (pending === undefined || compareIds(pending.id, nextId) >= 0) return
    this.#settle(pending, changeOf(pending))
  }

  #settle(event: Event<Data>, change: Change | undefined): void {
    this.#pending = undefined
    const { position } = this.#seat
    if (compareIds(event.id, this.#notedId === '' ? '0-0' : this.#notedId) > 0)
      this.#notedId = event.id
    if (change === undefined) return
    if (position.knows(change)) position.meet(change)
    else position.take(change)
    position.passBorder(change.cursor)
  }

  /** Until the mode ends or the stream is found to be unhealthy. */
  async #keepNoting(consumer: Consumer<Data>): Promise<void> {
    const { clock } = this.#seat.scope
    const ended = new AbortController()
    let stopped = ''
    consumer.done.catch((error: unknown) => {
      stopped = messageOf(error)
      ended.abort()
    })
    const off = onAbort(this.#signal, () => {
      ended.abort()
    })
    try {
      while (!ended.signal.aborted) {
        await pause(clock, NOTE_EVERY_MS, ended.signal)
        if (this.#signal.aborted || !this.#seat.held.holds()) return
        await this.#note()
        await this.#checkHealth(consumer, stopped)
      }
    } finally {
      off()
    }
    if (stopped !== '' && !this.#signal.aborted) {
      throw new PollAdapterError('UNAVAILABLE', `The consumer has stopped: ${stopped}`)
    }
  }

  async #note(): Promise<void> {
    this.#unnoted = 0
    if (!this.#seat.position.isDirty && this.#notedId === this.#seat.stored.notedId) return
    await this.#seat.note({ notedId: this.#notedId })
  }

  async #checkHealth(consumer: Consumer<Data>, stopped: string): Promise<void> {
    const { scope, stored } = this.#seat
    if (this.#signal.aborted || stored.record.state !== 'stream-with-fallback') return
    const nowMs = scope.clock.monotonicMs()
    if (consumer.state.is === 'holding') this.#idleSinceMs = undefined
    else this.#idleSinceMs ??= nowMs
    const reason = unhealthyReason(
      {
        bridgeSilentMs: (await this.#seat.bridge(this.#signal)).silentMs,
        consumerIdleMs: this.#idleSinceMs === undefined ? 0 : nowMs - this.#idleSinceMs,
        stopped,
        broken: this.#broken,
      },
      scope.options.unhealthyAfterMs,
    )
    if (reason !== '') await this.#seat.setFallback(reason, this.#signal)
  }

  /** Events that are gone can still be polled, as long as the position has not passed them. */
  #watchForBreaks(consumer: Consumer<Data>): (() => void)[] {
    const { stream, options } = this.#seat.scope
    const isOurs = (fact: { readonly stream: string; readonly name: string }): boolean =>
      fact.stream === stream.name && fact.name === options.name
    const breaks = (reason: string): void => {
      this.#broken = reason
      if (this.#mustFallBack) consumer.pause('broken')
    }
    return [
      channels.positionChanged.subscribe((fact) => {
        if (isOurs(fact) && fact.change === 'recreated') breaks('the stream was created anew')
      }),
      channels.gap.subscribe((fact) => {
        if (isOurs(fact)) breaks(`retention has removed ${fact.events} events unread`)
      }),
    ]
  }
}

/** An event of a producer that does not take part: it is handled, and says nothing about the position. */
function unidentified(event: Event): Change {
  return { key: event.key ?? '', id: event.id, cursor: undefined, deleted: false, hash: '' }
}
