import type { Decoded } from '../stream/event.ts'
import { compareIds } from '../stream/stream-id.ts'
import { idOf } from '../tail/batch.ts'
import { MOST_RANGES, type Range } from './ranges.ts'

/**
 * - `queued`: received, not started.
 * - `running`: a handler has it.
 * - `held`: an attempt failed; waits for the next one and holds its lane back.
 * - `done`: processed, or settled otherwise.
 */
type EntryPhase = 'done' | 'held' | 'queued' | 'running'

/** One event on its way through a consumer. */
export interface Entry<Data> {
  readonly id: string
  readonly bytes: number
  readonly receivedMs: number
  /** The payload; let go of once the event is done. */
  decoded: Decoded<Data> | undefined
  phase: EntryPhase
  /** Failed attempts so far. */
  attempts: number
  /** Whether the attempt that runs was counted when it was started. */
  counted: boolean
  /** When the first attempt failed, by the monotonic clock. */
  heldSinceMs: number
  /** The next one in the backlog. */
  after: Entry<Data> | undefined
  /** The next one in its lane. */
  afterInLane: Entry<Data> | undefined
}

/**
 * What has been received and lies above the watermark, in the order of the stream. The watermark is
 * the greatest id with everything at or before it done: the only thing a checkpoint may store.
 */
export class Backlog<Data> {
  // Linked, because it is empty most of the time: an array would be made anew for each event.
  #first: Entry<Data> | undefined
  #last: Entry<Data> | undefined
  #size = 0
  #watermark: string
  #index: number | undefined
  /** What an earlier holder had done above the position; it is not handled again. */
  readonly #wasDone: (id: string) => boolean
  /** Events that were started before a re-read, by id: they keep their state. */
  #started: Map<string, Entry<Data>> | undefined
  /** Ids passed by the watermark since the last stored position. */
  #passed: string[] = []
  #doneAbove = 0

  constructor(position: string, index: number | undefined, wasDone: (id: string) => boolean) {
    this.#watermark = position
    this.#index = index
    this.#wasDone = wasDone
  }

  get watermark(): string {
    return this.#watermark
  }

  /** How many events of the stream lie at or before the watermark; undefined when not known. */
  get index(): number | undefined {
    return this.#index
  }

  /** How many events have been received and not passed by the watermark. */
  get size(): number {
    return this.#size
  }

  /** How many events the watermark has passed since the last stored position. */
  get passedCount(): number {
    return this.#passed.length
  }

  /** How many events above the watermark are done. */
  get doneAbove(): number {
    return this.#doneAbove
  }

  /** Takes in an event; answers its entry if it is to be handled, else undefined. */
  receive(decoded: Decoded<Data>, attempts: number, nowMs: number): Entry<Data> | undefined {
    const id = idOf(decoded)
    const known = this.#started?.get(id)
    if (known !== undefined) {
      this.#started?.delete(id)
      this.#push(known)
      return undefined
    }
    const entry: Entry<Data> = {
      id,
      bytes: decoded.bytes,
      receivedMs: nowMs,
      decoded,
      phase: 'queued',
      attempts,
      counted: false,
      heldSinceMs: 0,
      after: undefined,
      afterInLane: undefined,
    }
    this.#push(entry)
    if (!this.#wasDone(id)) return entry
    this.settle(entry)
    return undefined
  }

  /** The event is done; moves the watermark as far as that allows. */
  settle(entry: Entry<Data>): void {
    if (entry.phase === 'done') return
    entry.phase = 'done'
    entry.decoded = undefined
    // An event that is about to be read again is counted when it comes.
    if (this.#started?.has(entry.id) === true) return
    this.#doneAbove++
    this.#advance()
  }

  /** Events have left the stream that were never received: how many lie before the others is not known. */
  forgetIndex(): void {
    this.#index = undefined
  }

  /** The server has stored this watermark: what it passed need not be remembered. */
  stored(position: string): void {
    // Passed in order, so the first one behind the position is found by halving.
    let from = 0
    let to = this.#passed.length
    while (from < to) {
      const middle = (from + to) >>> 1
      if (compareIds(this.#passed[middle] ?? position, position) <= 0) from = middle + 1
      else to = middle
    }
    this.#passed = from === this.#passed.length ? [] : this.#passed.slice(from)
  }

  /** Whether this process has processed the event since the last stored position. */
  hasProcessed(id: string): boolean {
    if (this.#passed.includes(id)) return true
    for (let entry = this.#first; entry !== undefined; entry = entry.after) {
      if (entry.id === id) return entry.phase === 'done'
    }
    return false
  }

  /** Forgets what was not started, for it will be read again after the watermark. */
  prepareReread(): void {
    // One that waited for its next attempt, and was due before it was read again, has lost its place.
    const started = (this.#started ??= new Map<string, Entry<Data>>())
    for (const [id, { phase }] of started) if (phase === 'queued') started.delete(id)
    for (let entry = this.#first; entry !== undefined; entry = entry.after) {
      if (entry.phase !== 'queued') started.set(entry.id, entry)
    }
    this.#first = undefined
    this.#last = undefined
    this.#size = 0
    this.#doneAbove = 0
  }

  /** What is done above the watermark, as ranges in order. */
  ranges(): Range[] {
    const ranges: Range[] = []
    let from: string | undefined
    let to = ''
    for (let entry = this.#first; entry !== undefined; entry = entry.after) {
      if (entry.phase === 'done') {
        from ??= entry.id
        to = entry.id
      } else if (from !== undefined) {
        ranges.push({ from, to })
        from = undefined
        if (ranges.length >= MOST_RANGES) return ranges
      }
    }
    if (from !== undefined) ranges.push({ from, to })
    return ranges
  }

  #push(entry: Entry<Data>): void {
    entry.after = undefined
    if (this.#last === undefined) this.#first = entry
    else this.#last.after = entry
    this.#last = entry
    this.#size++
    if (entry.phase !== 'done') return
    this.#doneAbove++
    this.#advance()
  }

  #advance(): void {
    let entry = this.#first
    while (entry?.phase === 'done') {
      const { after } = entry
      // What is dead and old would keep alive, by this, what is dead and young.
      entry.after = undefined
      this.#size--
      this.#doneAbove--
      this.#watermark = entry.id
      if (this.#index !== undefined) this.#index++
      this.#passed.push(entry.id)
      entry = after
    }
    this.#first = entry
    if (entry === undefined) this.#last = undefined
  }
}
