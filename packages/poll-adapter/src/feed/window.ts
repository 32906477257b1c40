import { compareIds, type Event, idTimeMs } from '@millrace/runtime'
import type { CursorForm, CursorValue } from './cursor-form.ts'
import type { Measure } from './history.ts'
import { BEFORE_ALL, idBefore, parsePosition, type StreamPosition } from './stream-position.ts'

/** One event as pages take it. */
export interface Kept<Data> {
  readonly event: Event<Data>
  readonly id: string
  /** The greatest value up to here; where values have no order, that of this event or the last that had one. */
  readonly value: CursorValue | undefined
}

export interface WindowOptions {
  readonly memoryEvents: number
  readonly memoryBytes: number
}

/** What is known of a stream when its end begins to be followed. */
export interface WindowStart {
  /** Everything after it is going to be pushed. */
  readonly base: StreamPosition
  /**
   * From which millisecond on the stream is known to have had every event, though nothing was trimmed;
   * undefined where something was, because the runtime then tells who misses events.
   */
  readonly vouchedFromMs: number | undefined
}

/** What to look for beyond the window, or where it was found. */
export type Located =
  | { readonly kind: 'ahead' }
  | { readonly kind: 'found'; readonly id: string }
  | { readonly kind: 'unknown' }

/** The end of one stream as this process keeps it: every event after `base`, bounded from the old end. */
export class Window<Data> {
  readonly #form: CursorForm<Data>
  readonly #options: WindowOptions
  #incarnation: string
  #base: string
  #vouchedFromMs: number | undefined
  /** The value at `base`, once an event has left the window. */
  #floor: CursorValue | undefined
  #kept: Kept<Data>[] = []
  #sizes: number[] = []
  #head = 0
  #bytes = 0
  /** Rises with every event. */
  #version = 0
  #greatest: CursorValue | undefined
  #lastPushedMs = 0
  /** The last place of each value, where values have no order. */
  readonly #places = new Map<CursorValue, string>()

  constructor(form: CursorForm<Data>, start: WindowStart, options: WindowOptions) {
    this.#form = form
    this.#options = options
    this.#incarnation = start.base.incarnation
    this.#base = start.base.id
    this.#vouchedFromMs = start.vouchedFromMs
  }

  /** See {@link WindowStart}. */
  get vouchedFromMs(): number | undefined {
    return this.#vouchedFromMs
  }
  get incarnation(): string {
    return this.#incarnation
  }
  /** Everything after this id is in the window. */
  get base(): string {
    return this.#base
  }
  /** The id of the last event, or `base`. */
  get lastId(): string {
    return this.#kept.at(-1)?.id ?? this.#base
  }
  get last(): Kept<Data> | undefined {
    return this.#kept.at(-1)
  }
  get events(): number {
    return this.#kept.length - this.#head
  }
  get bytes(): number {
    return this.#bytes
  }
  get version(): number {
    return this.#version
  }
  /** When the last event came, by the monotonic clock. */
  get lastPushedMs(): number {
    return this.#lastPushedMs
  }

  /** Takes the next event; answers the one before it. */
  push(event: Event<Data>, bytes: number, nowMs: number): Kept<Data> | undefined {
    const before = this.#kept.at(-1)
    const own = this.#form.cursorOf?.(event)
    const value = follow(this.#form, this.#greatest, own)
    this.#greatest = value
    // A stream that nobody had created through Millrace gets its incarnation with the first event.
    if (this.#incarnation === '') this.#incarnation = parsePosition(event.cursor)?.incarnation ?? ''
    // The watching began by our clock, the first event is stored by that of Redis.
    if (before === undefined && this.#vouchedFromMs !== undefined)
      this.#vouchedFromMs = Math.min(this.#vouchedFromMs, idTimeMs(event.id))
    this.#kept.push({ event, id: event.id, value })
    this.#sizes.push(bytes)
    this.#bytes += bytes
    this.#version++
    this.#lastPushedMs = nowMs
    if (value !== undefined && this.#form.compare === undefined) this.#places.set(value, event.id)
    this.#shrink()
    return before
  }

  /** Whether every event after this position is here, or going to be; it may be ahead of the stream. */
  follows({ incarnation, id }: StreamPosition): boolean {
    if (incarnation !== this.#incarnation && incarnation !== '') return false
    return compareIds(id, this.#base) >= 0
  }

  /** Whether the position lies within what is here. */
  covers(position: StreamPosition): boolean {
    return this.follows(position) && compareIds(position.id, this.lastId) <= 0
  }

  /** As many events after the id as the measure has room for, at least two; the window follows the id. */
  after(id: string, { count, bytes }: Measure): readonly Kept<Data>[] {
    const from = this.#firstAfter(id)
    let to = from
    for (
      let size = 0;
      to < this.#kept.length && to - from < count && (size <= bytes || to - from < 2);
      to++
    )
      size += this.#sizes[to] ?? 0
    return this.#kept.slice(from, to)
  }

  /** The event at or before this id. */
  atOrBefore(id: string): Kept<Data> | undefined {
    const index = this.#firstAfter(id) - 1
    return index >= this.#head ? this.#kept[index] : undefined
  }

  /** The event before this id. */
  before(id: string): Kept<Data> | undefined {
    return this.atOrBefore(idBefore(id))
  }

  /** The place after every event with at most this value. */
  locate(value: CursorValue): Located {
    const compare = this.#form.compare
    if (compare === undefined) {
      const id = this.#places.get(value)
      if (id !== undefined) return { kind: 'found', id }
      return value === this.#floor ? { kind: 'found', id: this.#base } : { kind: 'unknown' }
    }
    let low = this.#head
    let high = this.#kept.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const there = this.#kept[middle]?.value
      if (there === undefined || compare(there, value) <= 0) low = middle + 1
      else high = middle
    }
    if (
      low === this.#kept.length &&
      (this.#greatest === undefined || compare(this.#greatest, value) < 0)
    )
      return this.#greatest === undefined ? { kind: 'unknown' } : { kind: 'ahead' }
    if (low > this.#head && this.#kept[low - 1]?.value !== undefined) {
      return { kind: 'found', id: this.#kept[low - 1]?.id ?? this.#base }
    }
    const isAtBase = this.#floor !== undefined && compare(this.#floor, value) <= 0
    return isAtBase ? { kind: 'found', id: this.#base } : { kind: 'unknown' }
  }

  #firstAfter(id: string): number {
    let low = this.#head
    let high = this.#kept.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compareIds(this.#kept[middle]?.id ?? BEFORE_ALL, id) <= 0) low = middle + 1
      else high = middle
    }
    return low
  }

  /** The last event stays whatever it weighs: it says where the stream ends. */
  #shrink(): void {
    const { memoryEvents, memoryBytes } = this.#options
    while (this.events > 1 && (this.events > memoryEvents || this.#bytes > memoryBytes)) {
      const oldest = this.#kept[this.#head]
      if (oldest === undefined) return
      this.#base = oldest.id
      this.#floor = oldest.value
      if (oldest.value !== undefined && this.#places.get(oldest.value) === oldest.id)
        this.#places.delete(oldest.value)
      this.#bytes -= this.#sizes[this.#head] ?? 0
      this.#head++
    }
    // Moving everything for each event that leaves would cost more than the room.
    if (this.#head > 1_024 && this.#head * 2 > this.#kept.length) {
      this.#kept = this.#kept.slice(this.#head)
      this.#sizes = this.#sizes.slice(this.#head)
      this.#head = 0
    }
  }
}

/** The value at an event that follows one of value `before`: late ones do not bring the cursor back. */
export function follow<Data>(
  form: Pick<CursorForm<Data>, 'compare'>,
  before: CursorValue | undefined,
  own: CursorValue | undefined,
): CursorValue | undefined {
  if (own === undefined) return before
  if (before === undefined || form.compare === undefined) return own
  return form.compare(own, before) > 0 ? own : before
}
