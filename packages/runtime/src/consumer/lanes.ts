import type { Entry } from './backlog.ts'

interface Lane<Data> {
  readonly key: string
  entries: Entry<Data>[]
  head: number
  /** In line for a turn, taking one, or held back. */
  engaged: boolean
}

/**
 * Which event is next. Events of one lane come one after the other; up to `concurrency` lanes have a
 * turn at once. In stream order there is one lane.
 */
export class Lanes<Data> {
  readonly #concurrency: number
  readonly #lanes = new Map<string, Lane<Data>>()
  #line: Lane<Data>[] = []
  #lineHead = 0
  #active = 0

  constructor(concurrency: number) {
    this.#concurrency = concurrency
  }

  /** How many lanes have a turn. */
  get active(): number {
    return this.#active
  }

  /** Whether a lane waits and a turn is free. */
  get hasNext(): boolean {
    return this.#active < this.#concurrency && this.#lineHead < this.#line.length
  }

  add(key: string, entry: Entry<Data>): void {
    let lane = this.#lanes.get(key)
    if (lane === undefined) {
      lane = { key, entries: [], head: 0, engaged: false }
      this.#lanes.set(key, lane)
    }
    lane.entries.push(entry)
    if (!lane.engaged) this.#queue(lane)
  }

  /** Gives the next lane its turn; answers undefined when none waits or all turns are taken. */
  next(): Turn<Data> | undefined {
    if (this.#active >= this.#concurrency) return undefined
    const lane = this.#line[this.#lineHead]
    if (lane === undefined) return undefined
    this.#lineHead++
    if (this.#lineHead === this.#line.length) {
      this.#line = []
      this.#lineHead = 0
    }
    const entry = lane.entries[lane.head]
    if (entry === undefined) return undefined
    this.#active++
    return { lane: lane.key, entry }
  }

  /** The turn is over and the event is settled: the lane lines up again if it has more. */
  done(key: string): void {
    this.#active--
    const lane = this.#lanes.get(key)
    if (lane === undefined) return
    lane.head++
    if (lane.head === lane.entries.length) {
      this.#lanes.delete(key)
      return
    }
    if (lane.head > 1_024) {
      lane.entries = lane.entries.slice(lane.head)
      lane.head = 0
    }
    this.#queue(lane)
  }

  /** The turn is over and the event has to be tried again later: the lane is held back. */
  hold(key: string): void {
    this.#active--
    const lane = this.#lanes.get(key)
    if (lane !== undefined) lane.engaged = true
  }

  /** A held lane lines up again. */
  unhold(key: string): void {
    const lane = this.#lanes.get(key)
    if (lane !== undefined) this.#queue(lane)
  }

  /** Forgets all events that were not started. Lanes with a turn, or held back, keep their first. */
  dropQueued(): void {
    for (const [key, lane] of this.#lanes) {
      const first = lane.entries[lane.head]
      if (first !== undefined && first.phase !== 'queued') {
        lane.entries = [first]
        lane.head = 0
      } else {
        this.#lanes.delete(key)
      }
    }
    this.#line = this.#line
      .slice(this.#lineHead)
      .filter((lane) => this.#lanes.get(lane.key) === lane)
    this.#lineHead = 0
  }

  #queue(lane: Lane<Data>): void {
    lane.engaged = true
    this.#line.push(lane)
  }
}

export interface Turn<Data> {
  readonly lane: string
  readonly entry: Entry<Data>
}
