import type { Entry } from './backlog.ts'

interface Lane<Data> {
  readonly key: string
  /** The event that is next, or has its turn, or is held back. */
  first: Entry<Data> | undefined
  last: Entry<Data> | undefined
  /** In line for a turn, taking one, or held back. */
  engaged: boolean
  /** The next one in line. */
  after: Lane<Data> | undefined
}

/**
 * Which event is next. Events of one lane come one after the other; up to `concurrency` lanes have a
 * turn at once. In stream order there is one lane.
 */
export class Lanes<Data> {
  readonly #concurrency: number
  readonly #lanes = new Map<string, Lane<Data>>()
  /** The lanes that wait for a turn. */
  #first: Lane<Data> | undefined
  #last: Lane<Data> | undefined
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
    return this.#first !== undefined && this.#active < this.#concurrency
  }

  add(key: string, entry: Entry<Data>): void {
    let lane = this.#lanes.get(key)
    if (lane === undefined) {
      lane = { key, first: undefined, last: undefined, engaged: false, after: undefined }
      this.#lanes.set(key, lane)
    }
    entry.afterInLane = undefined
    if (lane.last === undefined) lane.first = entry
    else lane.last.afterInLane = entry
    lane.last = entry
    if (!lane.engaged) this.#queue(lane)
  }

  /** Gives the next lane its turn, and answers its event; undefined when none waits or all turns are taken. */
  next(): Turn<Data> | undefined {
    const lane = this.#first
    if (lane?.first === undefined || this.#active >= this.#concurrency) return undefined
    this.#first = lane.after
    if (this.#first === undefined) this.#last = undefined
    lane.after = undefined
    this.#active++
    return { lane: lane.key, entry: lane.first }
  }

  /** The turn is over and the event is settled: the lane lines up again if it has more. */
  done(key: string): void {
    this.#active--
    const lane = this.#lanes.get(key)
    if (lane === undefined) return
    const settled = lane.first
    lane.first = settled?.afterInLane
    // What is dead and old would keep alive, by this, what is dead and young.
    if (settled !== undefined) settled.afterInLane = undefined
    if (lane.first !== undefined) {
      this.#queue(lane)
      return
    }
    lane.last = undefined
    lane.engaged = false
    // The lane of events without a key is used again and again; keys are without end.
    if (key !== '') this.#lanes.delete(key)
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
      if (lane.first !== undefined && lane.first.phase !== 'queued') {
        lane.first.afterInLane = undefined
        lane.last = lane.first
      } else {
        this.#lanes.delete(key)
      }
    }
    // A lane is in line with an event that was not started, unless that one waits for its next attempt.
    let lane = this.#first
    this.#first = undefined
    this.#last = undefined
    while (lane !== undefined) {
      const { after } = lane
      if (this.#lanes.get(lane.key) === lane) this.#queue(lane)
      lane = after
    }
  }

  #queue(lane: Lane<Data>): void {
    lane.engaged = true
    lane.after = undefined
    if (this.#last === undefined) this.#first = lane
    else this.#last.after = lane
    this.#last = lane
  }
}

export interface Turn<Data> {
  readonly lane: string
  readonly entry: Entry<Data>
}
