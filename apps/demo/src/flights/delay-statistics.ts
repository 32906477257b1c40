import type { FlightUpdate } from './flight-updates.ts'

/** Delays below this are not worth a mention; the same border as in the official statistics. */
const LATE_FROM_MINUTES = 15
/** Airports with fewer departures say little. */
const ENOUGH_DEPARTURES = 30

interface Delays {
  flights: number
  late: number
  minutes: number
}

/** Keeps delays by airport of departure. */
export class DelayStatistics {
  readonly #all: Delays = { flights: 0, late: 0, minutes: 0 }
  readonly #airports = new Map<string, Delays>()

  add({ origin, delayMinutes }: FlightUpdate): void {
    let airport = this.#airports.get(origin)
    if (airport === undefined) {
      airport = { flights: 0, late: 0, minutes: 0 }
      this.#airports.set(origin, airport)
    }
    for (const delays of [this.#all, airport]) {
      delays.flights += 1
      delays.minutes += delayMinutes
      if (delayMinutes >= LATE_FROM_MINUTES) delays.late += 1
    }
  }

  /** The share of late flights, the mean delay, and where it is worst. */
  summary(): string {
    const { flights } = this.#all
    if (flights === 0) return 'no flights yet'
    const late = Math.round(lateShare(this.#all) * 100)
    const mean = (this.#all.minutes / flights).toFixed(1)
    return `${late} % late, ${mean} min on average${this.#worst()}`
  }

  #worst(): string {
    const worst = [...this.#airports]
      .filter(([, delays]) => delays.flights >= ENOUGH_DEPARTURES)
      .toSorted(([, one], [, other]) => lateShare(other) - lateShare(one))
      .slice(0, 3)
      .map(([airport, delays]) => `${airport} ${Math.round(lateShare(delays) * 100)} %`)
    return worst.length === 0 ? '' : `; most from ${worst.join(', ')}`
  }
}

function lateShare({ late, flights }: Delays): number {
  return late / flights
}
