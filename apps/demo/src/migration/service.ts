import { BOARD, REBOOKING, STATISTICS } from '../cast.ts'
import { DelayStatistics } from '../flights/delay-statistics.ts'
import { loadFlightRecords } from '../flights/flight-records.ts'
import type { FlightUpdate } from '../flights/flight-updates.ts'
import { REBOOK_FROM_MINUTES, Timetable } from '../flights/timetable.ts'

/** What a service does with each flight update, whichever way it came. */
export interface Service {
  handle(update: FlightUpdate): void
  status(): string
}

/** The services of the demo, as they were before there was a stream. */
export async function openService(name: string): Promise<Service> {
  switch (name) {
    case BOARD:
      return departuresBoard()
    case STATISTICS:
      return delayStatistics()
    case REBOOKING:
      return rebooking(new Timetable(await loadFlightRecords()))
    default:
      throw new Error(`there is no service ${name}`)
  }
}

function departuresBoard(): Service {
  let newest: FlightUpdate | undefined
  return {
    handle: (update) => {
      newest = update
    },
    status: () =>
      newest === undefined ? '' : `last departure ${newest.origin} to ${newest.destination}`,
  }
}

function delayStatistics(): Service {
  const statistics = new DelayStatistics()
  return {
    handle: (update) => {
      statistics.add(update)
    },
    status: () => statistics.summary(),
  }
}

function rebooking(timetable: Timetable): Service {
  let rebooked = 0
  return {
    handle: (update) => {
      if (update.delayMinutes < REBOOK_FROM_MINUTES) return
      if (timetable.alternatives(update, 1).length > 0) rebooked += 1
    },
    status: () => `${rebooked} late flights rebooked`,
  }
}
