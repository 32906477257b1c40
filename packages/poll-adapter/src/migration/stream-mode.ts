import { channels, compareIds, type Consumer, type Event } from '@millrace/runtime'
import { type Change, changeOf } from '../change/change.ts'
import { messageOf, PollAdapterError } from '../errors.ts'
import { onAbort, pause } from '../lifecycle/signals.ts'
import { absorb } from './absorb.ts'
import { type Cut, parseCut } from './cut.ts'
import { tellSwitched } from './handover.ts'
import { unhealthyReason } from './health.ts'
import type { Seat } from './seat.ts'

/** How often the position is stored while the stream feeds the handler, in milliseconds. */
const NOTE_EVERY_MS = 500
const RETRY_AFTER_MS = 1_000
/** No other mode may begin while a handler runs; its own signal tells it when to give up. */
const WITHOUT_END_MS = 86_400_000
/**
 * Before all events, like `0-0`; but who begins there is told when events have been removed, as it is not the same as
 * beginning wherever the stream does.
 */
const BEFORE_ALL = '0-1'

/**
 * Feeds the handler from the stream, through a Consumer of the poller's name, until the signal fires; what
 * is being handled then is finished first. Beside the Consumer's position that in the source is kept, so
 * that polling can go on at any moment.
 */
export async function streamMode<Item, Data>(
  seat: Seat<Item, Data>,
  signal: AbortSignal,
): Promise<void> {
  while (seat.mayAct(signal)) {
    const feed = new StreamFeed(seat, signal)
    try {
      await feed.run()
      if (signal.aborted) return
    } catch (error) {
      if (!seat.held.holds()) return
      seat.report(error)
      await pause(seat.scope.clock, RETRY_AFTER_MS, signal)
    }
  }
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
  /** Whether anything was given to the handler, or known to be handled, since the stream was entered. */
  #hasBegun: boolean
  /** Events behind the place were removed before anything was handled there: the source still has them. */
  #hasLostPlace = false
  #idleSinceMs: number | undefined

  constructor(seat: Seat<Item, Data>, signal: AbortSignal) {
    this.#seat = seat
    this.#signal = signal
    this.#cut = parseCut(seat.stored.cut)
    this.#notedId = seat.stored.notedId
    this.#hasBegun = seat.stored.notedId !== seat.stored.startId
  }

  async run(): Promise<void> {
    const { millrace, stream, options } = this.#seat.scope
    this.#seat.position.beginPage()
    if (await this.#hasLostSome()) {
      await this.#leave('retention has removed events that were not handled')
      // Whoever watches sees that, and ends this mode.
      await pause(this.#seat.scope.clock, WITHOUT_END_MS, this.#signal)
      return
    }
    const consumer = millrace.consumer(stream, {
      name: options.name,
      from: { id: startOf(this.#seat.stored.startId) },
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
    this.#hasBegun = true
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
    if (this.#seat.mayAct(this.#signal) && !this.#mustLeave) return
    throw new PollAdapterError('STATE_INVALID', 'This poller is not fed by the stream any more')
  }

  /** Whatever came now would hide what is missing before it. */
  get #mustLeave(): boolean {
    return this.#broken !== '' && (this.#hasLostPlace || this.#mayFallBack)
  }

  get #mayFallBack(): boolean {
    return this.#seat.stored.record.state === 'stream-with-fallback'
  }

  /**
   * Whether events behind the position are gone that can still be polled. The Consumer tells of that as well, but only
   * once, perhaps to a process that died before it did anything about it.
   */
  async #hasLostSome(): Promise<boolean> {
    if (this.#hasBegun && !this.#mayFallBack) return false
    const { millrace, stream } = this.#seat.scope
    const { trimmed } = await millrace.inspect(stream, { signal: this.#signal })
    return trimmed !== '' && compareIds(startOf(this.#notedId), trimmed) < 0
  }

  /** What was handled under an earlier hold counts, too, up to the first event of this one. */
  async #catchUp(firstId: string): Promise<void> {
    if (compareIds(this.#notedId === '' ? '0-0' : this.#notedId, firstId) < 0) {
      await absorb(this.#seat, this.#notedId, (id) => compareIds(id, firstId) < 0, this.#signal)
    }
    this.#seat.isCaughtUp = true
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
    const { scope } = this.#seat
    if (this.#signal.aborted) return
    if (!this.#mayFallBack) {
      const isThere = this.#seat.stored.startId !== ''
      if (this.#hasLostPlace && isThere) await this.#leave(this.#broken)
      return
    }
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

  /** Polling goes on where it was; the switch is tried again, waiting with the reason where it has to. */
  async #leave(reason: string): Promise<void> {
    if (this.#mayFallBack) {
      await this.#seat.setFallback(reason, this.#signal)
      return
    }
    const { epoch } = this.#seat.stored.record
    const nothing = { cut: '', startId: '', notedId: '' }
    this.#notedId = ''
    await this.#seat.note({ ...nothing, mode: 'poll', actingEpoch: String(epoch - 1) })
    tellSwitched(this.#seat, 'stream', 'poll')
  }

  /** Events that are gone can still be polled, as long as the position has not passed them. */
  #watchForBreaks(consumer: Consumer<Data>): (() => void)[] {
    const { stream, options } = this.#seat.scope
    const isOurs = (fact: { readonly stream: string; readonly name: string }): boolean =>
      fact.stream === stream.name && fact.name === options.name
    const breaks = (reason: string): void => {
      this.#broken = reason
      if (this.#mustLeave) consumer.pause('broken')
    }
    return [
      channels.positionChanged.subscribe((fact) => {
        if (isOurs(fact) && fact.change === 'recreated') breaks('the stream was created anew')
      }),
      channels.gap.subscribe((fact) => {
        if (!isOurs(fact)) return
        this.#hasLostPlace = !this.#hasBegun
        breaks(`retention has removed ${fact.events} events unread`)
      }),
    ]
  }
}

function startOf(startId: string): string {
  return startId === '' || startId === '0-0' ? BEFORE_ALL : startId
}

/** An event of a producer that does not take part: it is handled, and says nothing about the position. */
function unidentified(event: Event): Change {
  return { key: event.key ?? '', id: event.id, cursor: undefined, deleted: false, hash: '' }
}
