import {
  compareIds,
  type Event,
  type EventStream,
  idTimeMs,
  isMillraceError,
  type Millrace,
  type StartPosition,
} from '@millrace/runtime'
import { abortable } from '../lifecycle/signals.ts'
import type { CursorForm, CursorValue } from './cursor-form.ts'
import { sizeOf } from './size.ts'
import { formatPosition, idBefore, type StreamPosition } from './stream-position.ts'
import { follow, type Kept, type Located } from './window.ts'

/** How many reads of Redis a feed makes at the same time, however many pollers ask. */
const MOST_READS = 8
/** How often a search begins anew because retention has overtaken it. */
const MOST_SEARCHES = 3

export interface HistoryOptions {
  readonly onInvalid: 'refuse' | 'skip'
  /** How far events may lie out of the order of their values, in milliseconds of stream time. */
  readonly latenessMs: number
}

/** How much to take, at most. Two events are always taken: a page of one may have to know what follows. */
export interface Measure {
  readonly count: number
  readonly bytes: number
}

/** Events as they lie in Redis, from a position on. */
export interface Stretch<Data> {
  readonly kept: readonly Kept<Data>[]
  readonly incarnation: string
  /** Whether the stream has more behind them. */
  readonly more: boolean
}

/** What lies before the window: read from Redis, once for all who ask for the same. */
export class History<Data> {
  readonly #millrace: Millrace
  readonly #stream: EventStream<never, Data>
  readonly #form: CursorForm<Data>
  readonly #options: HistoryOptions
  readonly #closing: AbortSignal
  readonly #stretches = new Map<string, Promise<Stretch<Data>>>()
  readonly #places = new Map<CursorValue, Promise<Located>>()
  readonly #queue: (() => void)[] = []
  #reading = 0

  constructor(
    millrace: Millrace,
    stream: EventStream<never, Data>,
    form: CursorForm<Data>,
    options: HistoryOptions,
    closing: AbortSignal,
  ) {
    this.#millrace = millrace
    this.#stream = stream
    this.#form = form
    this.#options = options
    this.#closing = closing
  }

  /**
   * As many events after the position as the measure has room for.
   * @throws MillraceError `CURSOR_INVALID`, `GAP`, `PAYLOAD_INVALID`, `UNAVAILABLE`
   */
  after(
    from: StreamPosition | 'earliest',
    value: CursorValue | undefined,
    most: Measure,
    signal: AbortSignal | undefined,
  ): Promise<Stretch<Data>> {
    const { count, bytes } = most
    const place = from === 'earliest' ? from : formatPosition(from)
    const read = (): Promise<Stretch<Data>> => this.#read(from, value, most)
    return abortable(
      shared(this.#stretches, `${place} ${count} ${bytes}`, read),
      signal,
      'The poll',
    )
  }

  /** The place after every event with at most this value, wherever it is. */
  locate(value: CursorValue, signal: AbortSignal | undefined): Promise<Located> {
    const search = (): Promise<Located> => this.#turn(() => this.#search(value))
    return abortable(shared(this.#places, value, search), signal, 'The poll')
  }

  #read(
    from: StreamPosition | 'earliest',
    value: CursorValue | undefined,
    { count, bytes }: Measure,
  ): Promise<Stretch<Data>> {
    return this.#turn(async () => {
      let size = 0
      const kept: Kept<Data>[] = []
      let greatest = value
      let incarnation = from === 'earliest' ? '' : from.incarnation
      let more = false
      for await (const event of this.#events(startOf(from), count + 1)) {
        if (kept.length === count || (size > bytes && kept.length > 1)) {
          more = true
          break
        }
        size += sizeOf(event.data)
        greatest = follow(this.#form, greatest, this.#form.cursorOf?.(event))
        incarnation = event.cursor.slice(0, event.cursor.lastIndexOf('.'))
        kept.push({ event, id: event.id, value: greatest })
      }
      return { kept, incarnation, more }
    })
  }

  async #search(value: CursorValue): Promise<Located> {
    const { compare, cursorOf } = this.#form
    if (cursorOf === undefined) return { kind: 'unknown' }
    for (let attempt = 1; ; attempt++) {
      try {
        return compare === undefined
          ? await this.#searchEqual(value, cursorOf)
          : await this.#searchOrdered(value, cursorOf, compare)
      } catch (error) {
        // The old end of the stream was removed meanwhile: what is left is looked through anew.
        if (!isMillraceError(error, 'GAP') || attempt === MOST_SEARCHES) throw error
      }
    }
  }

  /** Behind the first events with this very value that follow each other. */
  async #searchEqual(
    value: CursorValue,
    cursorOf: (event: Event<Data>) => unknown,
  ): Promise<Located> {
    let found: string | undefined
    for await (const event of this.#events('earliest', 1_000)) {
      const own = cursorOf(event)
      if (own === value || (own === undefined && found !== undefined)) found = event.id
      else if (found !== undefined) break
    }
    return found === undefined ? { kind: 'unknown' } : { kind: 'found', id: found }
  }

  /** By halves over the time of the stream, then event by event from shortly before. */
  async #searchOrdered(
    value: CursorValue,
    cursorOf: (event: Event<Data>) => CursorValue | undefined,
    compare: (a: CursorValue, b: CursorValue) => number,
  ): Promise<Located> {
    const report = await this.#millrace.inspect(this.#stream, { signal: this.#closing })
    if (report.length === 0) return { kind: 'unknown' }
    let low = idTimeMs(report.firstId)
    let high = idTimeMs(report.lastId) + 1
    // What is left is read in one go, together with what may lie out of order before it.
    while (high - low > this.#options.latenessMs) {
      const middle = Math.floor((low + high) / 2)
      const there = await this.#firstWithValue(startAt(middle, report.firstId), cursorOf)
      if (there === undefined || compare(there.value, value) > 0) high = middle
      else low = Math.max(idTimeMs(there.id), middle) + 1
    }
    const from = startAt(low - 1 - this.#options.latenessMs, report.firstId)
    let before: { readonly id: string; readonly value: CursorValue } | undefined
    for await (const event of this.#events(from, 1_000)) {
      const own = cursorOf(event)
      if (own !== undefined && compare(own, value) > 0) {
        const isFirst = before === undefined && compareIds(event.id, report.firstId) <= 0
        return isFirst ? { kind: 'unknown' } : { kind: 'found', id: idBefore(event.id) }
      }
      if (own !== undefined && (before === undefined || compare(own, before.value) >= 0))
        before = { id: event.id, value: own }
    }
    if (before === undefined) return { kind: 'unknown' }
    if (compare(before.value, value) < 0) return { kind: 'ahead' }
    return { kind: 'found', id: before.id }
  }

  async #firstWithValue(
    from: StartPosition,
    cursorOf: (event: Event<Data>) => CursorValue | undefined,
  ): Promise<{ readonly id: string; readonly value: CursorValue } | undefined> {
    for await (const event of this.#events(from, 1)) {
      const value = cursorOf(event)
      if (value !== undefined) return { id: event.id, value }
    }
    return undefined
  }

  #events(from: StartPosition | string, atOnce: number): AsyncIterable<Event<Data>> {
    return this.#millrace.reader(this.#stream, {
      from,
      live: false,
      signal: this.#closing,
      bufferEvents: Math.min(Math.max(atOnce, 1), 10_000),
      onGap: 'stop',
      onInvalid: this.#options.onInvalid === 'skip' ? 'skip' : 'throw',
    })
  }

  async #turn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#reading >= MOST_READS) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#queue.push(resolve)
      await promise
    }
    this.#reading++
    try {
      return await work()
    } finally {
      this.#reading--
      this.#queue.shift()?.()
    }
  }
}

/** At this time, but not before the first event, where retention may have removed others. */
function startAt(timeMs: number, firstId: string): StartPosition {
  return timeMs <= idTimeMs(firstId) ? { id: idBefore(firstId) } : { timeMs }
}

/** A position whose incarnation is not known is one of the stream as it is. */
function startOf(from: StreamPosition | 'earliest'): StartPosition | string {
  if (from === 'earliest') return from
  return from.incarnation === '' ? { id: from.id } : formatPosition(from)
}

function shared<K, V>(all: Map<K, Promise<V>>, key: K, make: () => Promise<V>): Promise<V> {
  const known = all.get(key)
  if (known !== undefined) return known
  const made = make()
  all.set(key, made)
  const forget = (): void => {
    if (all.get(key) === made) all.delete(key)
  }
  made.then(forget, forget)
  return made
}
