import type { FlightRecord } from './flight-records.ts'

/**
 * When to publish which record, so that the gaps between departures keep their proportions (rush hours
 * and nights included) and the average is the wanted rate. After the last record it starts over.
 */
export class ReplaySchedule {
  /** How much faster than in 2001 time passes. */
  readonly speed: number
  readonly #records: readonly FlightRecord[]
  readonly #firstMs: number
  readonly #spanMs: number

  constructor(records: readonly FlightRecord[], eventsPerSecond: number) {
    const first = records[0]
    const last = records.at(-1)
    if (first === undefined || last === undefined) throw new Error('there are no flight records')
    this.#records = records
    this.#firstMs = first.departureMs
    // One average gap lies between the last record and the first one of the next round.
    const gaps = Math.max(records.length - 1, 1)
    this.#spanMs = ((last.departureMs - first.departureMs) * records.length) / gaps
    this.speed = (this.#spanMs / records.length) * (eventsPerSecond / 1_000)
  }

  record(sequence: number): FlightRecord {
    const record = this.#records[sequence % this.#records.length]
    if (record === undefined) throw new RangeError(`there is no record ${sequence}`)
    return record
  }

  /** When to publish an event, in milliseconds from the start of the replay. */
  dueMs(sequence: number): number {
    const round = Math.floor(sequence / this.#records.length)
    const offsetMs = this.record(sequence).departureMs - this.#firstMs
    return (round * this.#spanMs + offsetMs) / this.speed
  }
}
