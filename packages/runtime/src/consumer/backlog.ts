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
}

/**
 * What has been received and lies above the watermark, in the order of the stream. The watermark is
 * the greatest id with everything at or before it done: the only thing a checkpoint may store.
 */
export class Backlog<Data> {
  #entries: (Entry<Data> | undefined)[] = []
  #head = 0
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
    return this.#entries.length - this.#head
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
    const kept = this.#passed.findIndex((id) => compareIds(id, position) > 0)
    this.#passed = kept < 0 ? [] : this.#passed.slice(kept)
  }

  /** Whether this process has processed the event since the last stored position. */
  hasProcessed(id: string): boolean {
    if (this.#passed.includes(id)) return true
    for (let i = this.#head; i < this.#entries.length; i++) {
      const entry = this.#entries[i]
      if (entry?.id === id) return entry.phase === 'done'
    }
    return false
  }

  /** Forgets what was not started, for it will be read again after the watermark. */
  prepareReread(): void {
    // One that waited for its next attempt, and was due before it was read again, has lost its place.
    const started = (this.#started ??= new Map<string, Entry<Data>>())
    for (const [id, { phase }] of started) if (phase === 'queued') started.delete(id)
    for (let i = this.#head; i < this.#entries.length; i++) {
      const entry = this.#entries[i]
      if (entry !== undefined && entry.phase !== 'queued') started.set(entry.id, entry)
    }
    this.#entries = []
    this.#head = 0
    this.#doneAbove = 0
  }

  /** What is done above the watermark, as ranges in order. */
  ranges(): Range[] {
    const ranges: Range[] = []
    let from: string | undefined
    let to = ''
    for (let i = this.#head; i < this.#entries.length; i++) {
      const entry = this.#entries[i]
      if (entry?.phase === 'done') {
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
    this.#entries.push(entry)
    if (entry.phase !== 'done') return
    this.#doneAbove++
    this.#advance()
  }

  #advance(): void {
    let head = this.#head
    while (head < this.#entries.length) {
      const entry = this.#entries[head]
      if (entry?.phase !== 'done') break
      this.#entries[head] = undefined
      head++
      this.#doneAbove--
      this.#watermark = entry.id
      if (this.#index !== undefined) this.#index++
      this.#passed.push(entry.id)
    }
    this.#head = head
    if (head === this.#entries.length) {
      this.#entries = []
      this.#head = 0
    } else if (head > 1_024) {
      this.#entries = this.#entries.slice(head)
      this.#head = 0
    }
  }
}
