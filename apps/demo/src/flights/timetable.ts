import type { FlightRecord } from './flight-records.ts'
import type { FlightUpdate } from './flight-updates.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS

/** From this delay on, passengers are offered another way. */
export const REBOOK_FROM_MINUTES = 45
/** How long passengers need to change to another flight before it leaves. */
const TRANSFER_MS = 45 * MINUTE_MS
const LONGEST_LAYOVER_MS = 12 * HOUR_MS
/** How long after the delayed flight another one may leave. */
const SEARCH_MS = 48 * HOUR_MS
/** Taxiing, climb and descent, and the speed between; the records tell distances only. */
const GROUND_MS = 30 * MINUTE_MS
const MILES_PER_MINUTE = 8

/** One flight that can be booked. */
interface Leg {
  readonly origin: string
  readonly destination: string
  readonly departureMs: number
  readonly arrivalMs: number
}

/** A way from the origin to the destination: one leg, or two with a change. */
export interface Itinerary {
  readonly legs: readonly Leg[]
  readonly arrivalMs: number
}

/** Finds other ways to where a delayed flight was to go, directly or with one change. */
export class Timetable {
  readonly #departures = new Map<string, Leg[]>()

  /** @param records in the order of departure */
  constructor(records: readonly FlightRecord[]) {
    for (const record of records) {
      const leg = legOf(record)
      const departures = this.#departures.get(leg.origin)
      if (departures === undefined) this.#departures.set(leg.origin, [leg])
      else departures.push(leg)
    }
  }

  /** The itineraries that arrive first. */
  alternatives(update: FlightUpdate, most: number): readonly Itinerary[] {
    const plannedMs = Date.parse(update.scheduledDeparture)
    const found: Itinerary[] = []
    for (const leg of this.#leaving(
      update.origin,
      plannedMs + TRANSFER_MS,
      plannedMs + SEARCH_MS,
    )) {
      if (leg.destination === update.destination) {
        found.push({ legs: [leg], arrivalMs: leg.arrivalMs })
        continue
      }
      const next = this.#connection(leg, update.destination)
      if (next !== undefined) found.push({ legs: [leg, next], arrivalMs: next.arrivalMs })
    }
    return found.toSorted((one, other) => one.arrivalMs - other.arrivalMs).slice(0, most)
  }

  /** The first flight on from where a leg ends. */
  #connection(leg: Leg, destination: string): Leg | undefined {
    const fromMs = leg.arrivalMs + TRANSFER_MS
    const untilMs = leg.arrivalMs + LONGEST_LAYOVER_MS
    for (const next of this.#leaving(leg.destination, fromMs, untilMs)) {
      if (next.destination === destination) return next
    }
    return undefined
  }

  *#leaving(origin: string, fromMs: number, untilMs: number): Generator<Leg> {
    const departures = this.#departures.get(origin) ?? []
    for (let i = firstAtOrAfter(departures, fromMs); i < departures.length; i++) {
      const leg = departures[i]
      if (leg === undefined || leg.departureMs > untilMs) return
      yield leg
    }
  }
}

function legOf({ origin, destination, departureMs, distanceMiles }: FlightRecord): Leg {
  const flyingMs = GROUND_MS + (distanceMiles / MILES_PER_MINUTE) * MINUTE_MS
  return { origin, destination, departureMs, arrivalMs: departureMs + flyingMs }
}

function firstAtOrAfter(departures: readonly Leg[], ms: number): number {
  let low = 0
  let high = departures.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((departures[middle]?.departureMs ?? Infinity) < ms) low = middle + 1
    else high = middle
  }
  return low
}
