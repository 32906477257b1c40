import { type HeldPayload, isClaimed, payloadHolder } from '../blob/downloads.ts'
import type { Core } from '../core.ts'
import { channels } from '../diagnostics.ts'
import { type Gap, isMillraceError, messageOf, MillraceError } from '../errors.ts'
import { judgeNow, type ReadFacts, type ReadHealth } from '../health/read-health.ts'
import { inBackground } from '../instrumentation/instrumentation.ts'
import { onAbort, pause } from '../lifecycle/signals.ts'
import { gapAfter, gapError, reportGap } from '../retention/gap.ts'
import { decoderOf } from '../stream/decode.ts'
import type { EventStream } from '../stream/define-stream.ts'
import type { Claimed, Decoded, Event, Settled } from '../stream/event.ts'
import { readFigures } from '../stream/open-stream-script.ts'
import { FIRST_ID } from '../stream/stream-id.ts'
import { idOf } from '../tail/batch.ts'
import type { StreamFeed } from '../tail/stream-feed.ts'
import type { Subscription } from '../tail/subscription.ts'
import type { Tails } from '../tail/tails.ts'
import { assertReadable, type Cursor, resolveStart } from './cursor.ts'
import type { ResolvedReaderOptions } from './options.ts'

/** A pause before looking again when Redis is away, in milliseconds. */
const LOOK_AGAIN_MS = 250
/** What readers are called in diagnostics; they have no names of their own. */
const READER = 'reader'

/**
 * Reads an event stream from a position that the caller keeps: an async iterable, to be iterated once.
 * It writes nothing to Redis. It ends without an error when it is closed, when its signal fires, when
 * the loop is left, or (with `live: false`) at the end of the stream; it ends with `CURSOR_INVALID`
 * when its position means nothing any more.
 */
export class Reader<Data> implements AsyncIterableIterator<Event<Data>> {
  readonly #core: Core
  readonly #stream: EventStream<never, Data>
  readonly #options: ResolvedReaderOptions
  readonly #releaseTail: () => void
  readonly #feed: StreamFeed
  readonly #subscription: Subscription
  readonly #closing = new AbortController()
  readonly #closed = Promise.withResolvers<void>()
  /** A signal that has fired before closes from within the constructor, so there is one already then. */
  #offSignal: () => void = () => undefined
  #queue: Decoded<Data>[] = []
  #head = 0
  #atEnd = false
  #failure: MillraceError | undefined
  #sleep: PromiseWithResolvers<void> | undefined
  /** Whether an event has been taken, or a cursor was given: the stream must have reached that id. */
  #wasThere = false
  #position: Cursor | undefined
  #opened = false
  #openedMs = 0
  /** The payload of the event that was handed out last, if it was fetched. */
  #payload: HeldPayload<Data> | undefined

  constructor(
    core: Core,
    tails: Tails,
    stream: EventStream<never, Data>,
    options: ResolvedReaderOptions,
  ) {
    this.#core = core
    this.#stream = stream
    this.#options = options
    this.#releaseTail = tails.hold(stream)
    this.#feed = tails.feed(stream)
    this.#subscription = this.#feed.subscribe<Data>({
      name: READER,
      decode: decoderOf(stream),
      latencyBudgetMs: options.latencyBudgetMs,
      creditEvents: options.bufferEvents,
      creditBytes: options.bufferBytes,
      receive: (batch) => {
        this.#receive(batch)
      },
      caughtUp: () => {
        this.#caughtUp()
      },
      interrupted: (reason) => {
        this.#interrupted(reason)
      },
      gap: (goOn) => {
        void this.#meetGap(goOn)
      },
      missesNothing: true,
    })
    this.#wasThere = typeof options.from === 'string' && options.from.includes('.')
    this.#offSignal = onAbort(options.signal, () => void this.close())
  }

  async next(): Promise<IteratorResult<Event<Data>, undefined>> {
    if (this.#closing.signal.aborted) return { done: true, value: undefined }
    this.#payload?.release()
    if (!this.#opened) {
      this.#opened = true
      this.#openedMs = this.#core.clock.monotonicMs()
      void inBackground(this.#core.options.instrumentation, () => this.#open())
    }
    for (;;) {
      const taken = this.#take()
      if (taken !== undefined) {
        const decoded = isClaimed(taken) ? await this.#fetch(taken) : taken
        if (decoded === undefined) return { done: true, value: undefined }
        if (decoded.ok) return { done: false, value: decoded.event }
        if (this.#options.onInvalid === 'throw') await this.#fail(decoded.error)
        continue
      }
      if (this.#failure !== undefined) {
        const failure = this.#failure
        await this.close()
        throw failure
      }
      if (this.#closing.signal.aborted) return { done: true, value: undefined }
      if (this.#atEnd && !this.#options.live) return await this.return()
      await this.#woken()
    }
  }

  async return(): Promise<IteratorResult<Event<Data>, undefined>> {
    await this.close()
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** Whether it reads, since when that is confirmed, and why not. */
  health(): ReadHealth {
    return judgeNow(this.#facts(), this.#core)
  }

  /** Resolves when the reader has ended. */
  get closed(): Promise<void> {
    return this.#closed.promise
  }

  /** Ends the iteration. Idempotent. */
  close(): Promise<void> {
    this.#closing.abort()
    this.#offSignal()
    this.#subscription.close()
    this.#releaseTail()
    this.#queue = []
    this.#payload?.release()
    this.#wake()
    this.#closed.resolve()
    return this.closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #facts(): ReadFacts {
    const { confirmedMs, isFull, outstandingEvents, restedMs, trouble } = this.#subscription
    const isOver = this.#closing.signal.aborted
    return {
      ...{ stream: this.#stream.name, name: READER, kind: 'reader', holdsLease: false },
      phase: isOver ? 'closing' : this.#failure === undefined ? this.#phase : 'stopped',
      pausedBy: [],
      isFull,
      startedMs: this.#openedMs,
      confirmedMs,
      restedMs,
      trouble: this.#failure?.message ?? trouble,
      inFlight: outstandingEvents,
      mostInFlight: this.#options.bufferEvents,
    }
  }

  get #phase(): 'idle' | 'reading' {
    return this.#opened ? 'reading' : 'idle'
  }

  #receive(batch: readonly Decoded<Data>[]): void {
    this.#atEnd = false
    for (const decoded of batch) this.#queue.push(decoded)
    this.#wake()
  }

  #caughtUp(): void {
    this.#atEnd = true
    // What is published from here on is not part of this reading.
    if (!this.#options.live) this.#subscription.suspend()
    this.#wake()
  }

  /** Drops what waits here and goes on after the last event that the caller took. */
  #interrupted(reason: string): void {
    this.#queue = []
    this.#head = 0
    channels.loopFailed.publish({
      loop: 'reader',
      stream: this.#stream.name,
      name: READER,
      error: new Error(reason),
    })
    void this.#open()
  }

  /** Looks at the stream until that succeeds, makes sure that the position means something, and reads. */
  async #open(): Promise<void> {
    const { signal } = this.#closing
    const keys = this.#core.keysOf(this.#stream)
    while (!signal.aborted) {
      try {
        const figures = await this.#core.connections.call(
          'data',
          keys.tag,
          (session) => readFigures(session, keys, this.#stream.name),
          { signal },
        )
        if (signal.aborted) return
        const isUntouched = this.#options.from === 'earliest' && !this.#wasThere
        if (this.#position === undefined || isUntouched) {
          this.#position = resolveStart(this.#options.from, figures, this.#stream.name)
        } else {
          const reached = this.#wasThere ? this.#position.id : FIRST_ID
          assertReadable({ ...this.#position, id: reached }, figures, this.#stream.name)
          this.#position = { incarnation: figures.incarnation, id: this.#position.id }
        }
        const gap = gapAfter(this.#position.id, figures)
        if (gap !== undefined) {
          if (!this.#passGap(gap)) return
          this.#position = { ...this.#position, id: gap.to }
        }
        this.#feed.adopt(figures.incarnation)
        this.#subscription.resume(this.#position.id)
        return
      } catch (error) {
        if (signal.aborted) return
        // Before the first look has succeeded the caller waits for it and is told.
        if (!isMillraceError(error, 'UNAVAILABLE') || this.#position === undefined) {
          this.#failure = isMillraceError(error)
            ? error
            : new MillraceError('INTERNAL', 'A reader failed', { cause: error })
          this.#wake()
          return
        }
        await pause(this.#core.clock, LOOK_AGAIN_MS, signal)
      }
    }
  }

  /** Events are missing behind those that were handed over; nothing more comes meanwhile. */
  async #meetGap(goOn: () => void): Promise<void> {
    const { signal } = this.#closing
    const keys = this.#core.keysOf(this.#stream)
    const { position } = this.#subscription
    try {
      const figures = await this.#core.connections.call(
        'data',
        keys.tag,
        (session) => readFigures(session, keys, this.#stream.name),
        { signal },
      )
      const gap = gapAfter(position, figures)
      if (gap === undefined || this.#passGap(gap)) goOn()
    } catch (error) {
      if (!signal.aborted) this.#interrupted(messageOf(error))
    }
  }

  /** Tells of a gap; answers whether to go on behind it. */
  #passGap(gap: Gap): boolean {
    const facts = { stream: this.#stream.name, name: READER }
    reportGap(gap, facts)
    if (this.#options.onGap === 'continue') return true
    // What lies before it is still taken.
    this.#failure = gapError(gap, facts)
    this.#wake()
    return false
  }

  /** Outlasts outages of the store, as of Redis; undefined when the reader was closed meanwhile. */
  async #fetch(claimed: Claimed<Data>): Promise<Settled<Data> | undefined> {
    const { signal } = this.#closing
    while (!signal.aborted) {
      try {
        const payload = await this.#core.downloads.take(claimed, payloadHolder(), signal)
        this.#payload = payload
        if (signal.aborted || !payload.decoded.ok) payload.release()
        return signal.aborted ? undefined : payload.decoded
      } catch (error) {
        if (signal.aborted) return undefined
        channels.loopFailed.publish({
          loop: 'blob',
          stream: this.#stream.name,
          name: READER,
          error: error instanceof Error ? error : new Error(messageOf(error)),
        })
        await pause(this.#core.clock, LOOK_AGAIN_MS, signal)
      }
    }
    return undefined
  }

  #take(): Decoded<Data> | undefined {
    const decoded = this.#queue[this.#head]
    if (decoded === undefined) return undefined
    this.#head++
    if (this.#head === this.#queue.length) {
      this.#queue = []
      this.#head = 0
    }
    this.#wasThere = true
    this.#position = {
      incarnation: this.#feed.incarnation,
      id: idOf(decoded),
    }
    this.#subscription.release(1, decoded.bytes)
    return decoded
  }

  async #fail(error: Error): Promise<never> {
    await this.close()
    throw error
  }

  #woken(): Promise<void> {
    this.#sleep ??= Promise.withResolvers<void>()
    return this.#sleep.promise
  }

  /** Wakes all calls of `next` that wait; each looks again. */
  #wake(): void {
    this.#sleep?.resolve()
    this.#sleep = undefined
  }
}
