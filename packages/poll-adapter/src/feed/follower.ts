import {
  compareIds,
  type Event,
  type EventStream,
  idTimeMs,
  isMillraceError,
  type Millrace,
  type StreamReport,
} from '@millrace/runtime'
import { pollChannels } from '../diagnostics.ts'
import { messageOf, PollAdapterError } from '../errors.ts'
import type { Clock } from '../lifecycle/clock.ts'
import { abortable, pause } from '../lifecycle/signals.ts'
import type { CursorForm } from './cursor-form.ts'
import { sizeOf } from './size.ts'
import { BEFORE_ALL, formatPosition, idBefore, lastIdOfMs } from './stream-position.ts'
import { follow, Window, type WindowOptions, type WindowStart } from './window.ts'

/** How much of the end of the stream is read when following begins, in milliseconds. */
const READ_BACK_MS = 1_000
const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 2_000
/** Reading that went well for so long starts over with the shortest pause. */
const STABLE_MS = 5_000
/** Timers are a little early at times. */
const SHORTEST_LOOK_MS = 2

export interface FollowerOptions extends WindowOptions {
  readonly name: string
  readonly latencyBudgetMs: number
  readonly onInvalid: 'refuse' | 'skip'
}

/** What the feed does when there is news. */
export interface FollowerNews {
  /** There is a reason to look again: events, a tie that has settled, another stream, or an error. */
  changed(): void
  /** Reading has ended for good. */
  ended(): void
}

/** Follows the end of a stream with one Reader, which shares the process's blocking read, into a window. */
export class Follower<Data> {
  readonly #millrace: Millrace
  readonly #stream: EventStream<never, Data>
  readonly #form: CursorForm<Data>
  readonly #options: FollowerOptions
  readonly #clock: Clock
  readonly #news: FollowerNews
  readonly #closing = new AbortController()
  #window: Window<Data> | undefined
  #attempt: PromiseWithResolvers<Window<Data>> | undefined
  #run: Promise<void> | undefined
  /** Rises when the stream was created anew or emptied while it was followed. */
  #generation = 0
  /** Since when the stream has been watched without a break, by the wall clock of this machine. */
  #watchedFromMs: number | undefined
  #isAnnounced = false
  #settledId: string | undefined
  #cancelSettle: (() => void) | undefined

  constructor(
    millrace: Millrace,
    stream: EventStream<never, Data>,
    form: CursorForm<Data>,
    options: FollowerOptions,
    clock: Clock,
    news: FollowerNews,
  ) {
    this.#millrace = millrace
    this.#stream = stream
    this.#form = form
    this.#options = options
    this.#clock = clock
    this.#news = news
  }

  get generation(): number {
    return this.#generation
  }

  /** Undefined while the stream is not followed. */
  get current(): Window<Data> | undefined {
    return this.#window
  }

  /** The end of the stream, once it is followed; begins to follow it. Rejects when an attempt failed. */
  async window(signal?: AbortSignal): Promise<Window<Data>> {
    if (this.#closing.signal.aborted) {
      throw new PollAdapterError('CLOSED', `Feed ${this.#options.name} was closed`)
    }
    if (this.#window !== undefined) return this.#window
    this.#attempt ??= newAttempt()
    this.#run ??= this.#follow()
    return await abortable(this.#attempt.promise, signal, 'The poll')
  }

  /** Whether the last event has stood for as long as its ties take, and Redis has nothing behind it. */
  isSettled(window: Window<Data>): boolean {
    return this.#settledId === window.lastId
  }

  /** Somebody was not given the last events: there is a reason to look again once they have settled. */
  lookAgainWhenSettled(window: Window<Data>): void {
    if (this.#cancelSettle !== undefined) return
    const leftMs = window.lastPushedMs + this.#form.settleMs - this.#clock.monotonicMs()
    this.#cancelSettle = this.#clock.after(Math.max(leftMs, 0) + SHORTEST_LOOK_MS, () => {
      void this.#settle(window)
    })
  }

  /** Takes what a look at Redis says about the last event that is here. */
  noteSettled(window: Window<Data>, report: StreamReport): void {
    const dueMs = window.lastPushedMs + this.#form.settleMs
    if (this.#clock.monotonicMs() >= dueMs && report.lastId === window.lastId)
      this.#settledId = window.lastId
  }

  /** The time is up; whether something is on its way, as after a broken connection, only Redis knows. */
  async #settle(window: Window<Data>): Promise<void> {
    try {
      const { signal } = this.#closing
      this.noteSettled(window, await this.#millrace.inspect(this.#stream, { signal }))
    } catch {
      // Whoever waits looks again, and with that begins another attempt.
    } finally {
      this.#cancelSettle = undefined
    }
    if (!this.#closing.signal.aborted) this.#news.changed()
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#cancelSettle?.()
    this.#fail(new PollAdapterError('CLOSED', `Feed ${this.#options.name} was closed`))
    await this.#run
  }

  async #follow(): Promise<void> {
    const { signal } = this.#closing
    let pauseMs = FIRST_PAUSE_MS
    let beganMs = this.#clock.monotonicMs()
    while (!signal.aborted) {
      try {
        const window = await this.#begin()
        beganMs = this.#clock.monotonicMs()
        await this.#read(window)
        if (!signal.aborted) break
      } catch (error) {
        if (isMillraceError(error, 'CLOSED')) break
        if (isMillraceError(error, 'CURSOR_INVALID')) this.#recreated()
        else {
          // Positions stay good; whoever asks meanwhile is told what is wrong.
          this.#window = undefined
          this.#fail(error)
          this.#news.changed()
          if (this.#clock.monotonicMs() - beganMs > STABLE_MS) pauseMs = FIRST_PAUSE_MS
          await pause(this.#clock, pauseMs, signal)
          pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)
        }
      }
    }
    // The runtime was closed under the feed, or the feed itself.
    this.#window = undefined
    this.#closing.abort()
    this.#fail(new PollAdapterError('CLOSED', `Feed ${this.#options.name} was closed`))
    this.#news.ended()
  }

  /** Looks at the stream once and makes a window that begins shortly before its end. */
  async #begin(): Promise<Window<Data>> {
    const report = await this.#millrace.inspect(this.#stream, { signal: this.#closing.signal })
    this.#watchedFromMs ??= this.#clock.wallMs()
    return new Window(this.#form, startOf(report, this.#watchedFromMs), this.#options)
  }

  async #read(window: Window<Data>): Promise<void> {
    // Whoever asks is answered from the window only when it reaches to the end of the stream.
    for await (const event of this.#events(window, false)) this.#push(window, event)
    if (this.#closing.signal.aborted) return
    this.#window = window
    this.#attempt?.resolve(window)
    this.#attempt = undefined
    this.#news.changed()
    for await (const event of this.#events(window, true)) {
      this.#push(window, event)
      this.#announce()
    }
  }

  #events({ incarnation, lastId: id }: Window<Data>, live: boolean): AsyncIterable<Event<Data>> {
    const { latencyBudgetMs, onInvalid } = this.#options
    return this.#millrace.reader(this.#stream, {
      from: formatPosition({ incarnation, id }),
      live,
      signal: this.#closing.signal,
      latencyBudgetMs,
      onGap: 'stop',
      onInvalid: onInvalid === 'skip' ? 'skip' : 'throw',
    })
  }

  #push(window: Window<Data>, event: Event<Data>): void {
    const before = window.push(event, sizeOf(event.data), this.#clock.monotonicMs())
    if (before !== undefined) this.#noteLate(window, before.value)
  }

  /** Once for all events of one read. */
  #announce(): void {
    if (this.#isAnnounced) return
    this.#isAnnounced = true
    setImmediate(() => {
      this.#isAnnounced = false
      if (this.#closing.signal.aborted) return
      this.#news.changed()
    })
  }

  /** Tells of an event that plain cursors which were handed out already lie beyond. */
  #noteLate(window: Window<Data>, before: string | number | undefined): void {
    const last = window.last
    const { cursorOf, compare } = this.#form
    if (last === undefined || before === undefined || compare === undefined) return
    if (!pollChannels.itemUnreachable.hasSubscribers) return
    const own = cursorOf?.(last.event)
    if (own === undefined || follow({ compare }, before, own) !== before) return
    if (own === before) return
    pollChannels.itemUnreachable.publish({
      stream: this.#stream.name,
      feed: this.#options.name,
      id: last.id,
      cursor: String(own),
      greatest: String(before),
    })
  }

  #recreated(): void {
    this.#generation++
    this.#settledId = undefined
    this.#window = undefined
    this.#watchedFromMs = this.#clock.wallMs()
    this.#news.changed()
  }

  /** Whoever waits for the window is told; the next one to ask begins to wait anew. */
  #fail(error: unknown): void {
    const attempt = this.#attempt
    this.#attempt = undefined
    if (attempt === undefined) return
    const isKnown = isMillraceError(error) || error instanceof PollAdapterError
    attempt.reject(
      isKnown ? error : new PollAdapterError('INTERNAL', messageOf(error), { cause: error }),
    )
  }
}

/** Nobody may be waiting any more when it fails. */
function newAttempt<Data>(): PromiseWithResolvers<Window<Data>> {
  const attempt = Promise.withResolvers<Window<Data>>()
  attempt.promise.catch(() => undefined)
  return attempt
}

function startOf(report: StreamReport, watchedFromMs: number): WindowStart {
  const { incarnation, exists, lastId, firstId, trimmed, length } = report
  if (!exists) {
    return { base: { incarnation: '', id: BEFORE_ALL }, vouchedFromMs: watchedFromMs }
  }
  const oldest = length === 0 ? lastId : idBefore(firstId)
  const readBack = lastIdOfMs(Math.max(idTimeMs(lastId) - READ_BACK_MS, 0))
  return {
    base: { incarnation, id: compareIds(oldest, readBack) > 0 ? oldest : readBack },
    vouchedFromMs: trimmed === '' ? idTimeMs(length === 0 ? lastId : firstId) : undefined,
  }
}
