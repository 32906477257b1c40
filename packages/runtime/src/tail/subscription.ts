import type { Decode } from '../stream/decode.ts'
import type { Decoded } from '../stream/event.ts'
import { compareIds, maxId } from '../stream/stream-id.ts'
import { idOf } from './batch.ts'
import type { Page, StreamFeed } from './stream-feed.ts'

/** What a reader or consumer does with what it is fed. */
export interface Subscriber<Data> {
  /** For diagnostics. */
  readonly name: string
  readonly decode: Decode<Data>
  readonly latencyBudgetMs: number
  /** How many events may be outstanding (handed over and not yet released). */
  readonly creditEvents: number
  /** How many bytes may be outstanding. */
  readonly creditBytes: number
  /** Takes events in id order. Never called while suspended or closed. */
  receive(batch: readonly Decoded<Data>[]): void
  /**
   * Reading was interrupted: the connection was lost, or the stream does not look as it did. Nothing
   * more is handed over until `resume`, and what was handed over and not started must be dropped.
   */
  interrupted(reason: string): void
  /**
   * Retention has removed events that were to come next. Nothing more is handed over until `goOn` is
   * called; reading then continues behind them.
   */
  gap(goOn: () => void): void
  /** Whether gaps are looked for in each read of the tail as well, where they are hardly possible. */
  readonly missesNothing?: boolean
  /** All events that were in the stream have been handed over, at least for now. */
  caughtUp?(): void
}

/**
 * Where the subscription stands:
 * - `suspended`: not reading; waits for `resume(from)`.
 * - `paging`: catching up with pages of its own (a page may be outstanding, or it waits for credit).
 * - `joined`: fed by the tail.
 * - `closed`: for good.
 */
export type SubscriptionState = 'closed' | 'joined' | 'paging' | 'suspended'

/** A stream whose old end moves faster than it is read is read all the same. */
const MOST_OVERTAKEN = 5

/** One reader or consumer of one stream: position, credit, and whether the tail or pages feed it. */
export class Subscription {
  readonly subscriber: Subscriber<unknown>
  readonly #feed: StreamFeed
  #state: SubscriptionState = 'suspended'
  #position = '0-0'
  #run = 0
  #outstandingEvents = 0
  #outstandingBytes = 0
  #pagedBytes = 0
  #requested = false
  #averageBytes: number | undefined
  /** Pages in a row that were overtaken by retention while they were read. */
  #overtaken = 0
  #pagedMs: number | undefined
  #isResting = false
  #restedMs: number | undefined
  #trouble = ''

  constructor(feed: StreamFeed, subscriber: Subscriber<unknown>) {
    this.#feed = feed
    this.subscriber = subscriber
  }

  get state(): SubscriptionState {
    return this.#state
  }

  /** The greatest id handed over, or the one that reading began after. */
  get position(): string {
    return this.#position
  }

  /** When a read that it is fed by last came back, if one has. */
  get confirmedMs(): number | undefined {
    const tailMs = this.#state === 'joined' ? this.#feed.confirmedMs : undefined
    if (tailMs === undefined || this.#pagedMs === undefined) return tailMs ?? this.#pagedMs
    return Math.max(tailMs, this.#pagedMs)
  }

  /** When it last began to ask again after its owner had had all it could take; undefined before that. */
  get restedMs(): number | undefined {
    return this.#restedMs
  }

  /** Whether it asks for nothing, because its owner has all it can take. */
  get isFull(): boolean {
    return this.#state === 'paging' && !this.#requested
  }

  /** How many events are handed over and not released. */
  get outstandingEvents(): number {
    return this.#outstandingEvents
  }

  /** Why reading was interrupted, until a read has come back again. */
  get trouble(): string {
    return this.#trouble
  }

  /** The average size of the events of the last page, in bytes. */
  get averageBytes(): number | undefined {
    return this.#averageBytes
  }

  /** Begins to read after `from`. Everything handed over before has been dropped by the caller. */
  resume(from: string): void {
    if (this.#state === 'closed') return
    this.#suspend()
    this.#outstandingEvents = 0
    this.#outstandingBytes = 0
    this.#position = from
    this.#state = 'paging'
    this.#pump()
  }

  /** Gives credit back for events that were handled or dropped since the last `resume`. */
  release(events: number, bytes: number): void {
    this.#outstandingEvents = Math.max(0, this.#outstandingEvents - events)
    this.#outstandingBytes = Math.max(0, this.#outstandingBytes - bytes)
    if (this.#pagedBytes > 0) {
      const freed = Math.min(this.#pagedBytes, bytes)
      this.#pagedBytes -= freed
      this.#feed.readAhead.release(freed)
    }
    if (this.#state === 'paging' && !this.#requested) this.#pump()
  }

  /** Stops being fed, keeping the subscription for a later `resume`. */
  suspend(): void {
    if (this.#state !== 'closed') this.#suspend()
  }

  close(): void {
    if (this.#state === 'closed') return
    this.#suspend()
    this.#state = 'closed'
    this.#feed.remove(this)
  }

  /** From the tail: entries that may begin at or before our position. */
  feed(batch: readonly Decoded<unknown>[]): void {
    if (this.#state !== 'joined') return
    const first = batch[0]
    if (first === undefined) return
    const fresh =
      compareIds(idOf(first), this.#position) > 0
        ? batch
        : batch.filter((decoded) => compareIds(idOf(decoded), this.#position) > 0)
    this.#hand(fresh)
    if (this.#state === 'joined' && !this.#hasCredit(1)) this.leaveTail()
  }

  /** From the tail or a page: reading cannot go on as it was. */
  interrupt(reason: string): void {
    if (this.#state === 'closed' || this.#state === 'suspended') return
    this.#suspend()
    this.#trouble = reason
    this.subscriber.interrupted(reason)
  }

  /** The tail goes on without this one, which pages until it has caught up. */
  leaveTail(): void {
    if (this.#state !== 'joined') return
    this.#state = 'paging'
    this.#feed.left(this)
    this.#pump()
  }

  readonly #pump = (): void => {
    if (this.#state !== 'paging' || this.#requested) return
    if (!this.#hasCredit(0.5) || !this.#feed.readAhead.admits(this.#pagedBytes, this.#pump)) {
      this.#isResting = true
      return
    }
    if (this.#isResting) {
      this.#isResting = false
      this.#restedMs = this.#feed.nowMs()
    }
    this.#requested = true
    const run = this.#run
    void this.#feed.page(this).then(
      (page) => {
        if (run !== this.#run) return
        this.#pagedMs = this.#feed.nowMs()
        this.#trouble = ''
        if (this.#isOvertaken(page)) this.#meetGap(page, run)
        else this.#takePage(page.batch, page.complete, run)
      },
      (error: unknown) => {
        if (run !== this.#run) return
        this.#requested = false
        this.interrupt(error instanceof Error ? error.message : String(error))
      },
    )
  }

  /** Whether retention has removed something behind our position, before or after the page was read. */
  #isOvertaken({ trimmed }: Page): boolean {
    return trimmed !== undefined && compareIds(trimmed, this.#position) > 0
  }

  #meetGap({ batch, trimmed, complete }: Page, run: number): void {
    const first = batch[0]
    const position = trimmed ?? this.#position
    if (
      first !== undefined &&
      compareIds(idOf(first), position) <= 0 &&
      ++this.#overtaken < MOST_OVERTAKEN
    ) {
      // What the page begins with was removed after it had been read: the next one tells what is missing.
      this.#requested = false
      this.#pump()
      return
    }
    const wasOvertaken = this.#overtaken
    this.#overtaken = 0
    if (wasOvertaken >= MOST_OVERTAKEN) {
      this.#takePage(batch, complete, run)
      return
    }
    // Until the owner has been told, no page is asked for.
    this.subscriber.gap(() => {
      if (run !== this.#run) return
      this.#position = maxId(this.#position, position)
      this.#requested = false
      this.#pump()
    })
  }

  /** Until the page is handed over the next one is not asked for, although credit comes back meanwhile. */
  #takePage(batch: readonly Decoded<unknown>[], complete: boolean, run: number): void {
    if (batch.length > 0) {
      let bytes = 0
      for (const { bytes: one } of batch) bytes += one
      this.#averageBytes = bytes / batch.length
      this.#pagedBytes += bytes
      this.#feed.readAhead.hold(bytes)
      this.#hand(batch)
    }
    // Handing over may have suspended, resumed or closed us.
    if (run !== this.#run) return
    this.#requested = false
    if (complete) {
      this.subscriber.caughtUp?.()
      if (run !== this.#run) return
      if (this.#hasCredit(1) && this.#feed.join(this)) {
        this.#state = 'joined'
        return
      }
    }
    this.#pump()
  }

  #hand(batch: readonly Decoded<unknown>[]): void {
    const last = batch.at(-1)
    if (last === undefined) return
    let bytes = 0
    for (const decoded of batch) bytes += decoded.bytes
    this.#position = idOf(last)
    this.#outstandingEvents += batch.length
    this.#outstandingBytes += bytes
    this.subscriber.receive(batch)
  }

  #hasCredit(share: number): boolean {
    return (
      this.#outstandingEvents < this.subscriber.creditEvents * share + (share < 1 ? 1 : 0) &&
      this.#outstandingBytes < this.subscriber.creditBytes * share + (share < 1 ? 1 : 0)
    )
  }

  #suspend(): void {
    if (this.#state === 'joined') this.#feed.left(this)
    this.#feed.readAhead.forget(this.#pump)
    if (this.#pagedBytes > 0) this.#feed.readAhead.release(this.#pagedBytes)
    this.#pagedBytes = 0
    this.#requested = false
    this.#isResting = false
    this.#run++
    this.#state = 'suspended'
  }
}
