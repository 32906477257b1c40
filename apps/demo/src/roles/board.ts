import { flightUpdates, type FlightUpdate } from '../flights/flight-updates.ts'
import { type Act, play } from './role.ts'

const LINES = 3
/** People look at it: every departure is fetched at once. */
const LATENCY_BUDGET_MS = 0

await play(({ settings, millrace, journaled }): Act => {
  const newest: FlightUpdate[] = []
  const consumer = millrace
    .consumer(flightUpdates, { name: settings.consumer, latencyBudgetMs: LATENCY_BUDGET_MS })
    .start(
      journaled<FlightUpdate>(({ data }) => {
        newest.unshift(data)
        newest.length = Math.min(newest.length, LINES)
      }),
    )
  return {
    ready: consumer.ready,
    done: consumer.done,
    close: () => consumer.close(),
    status: () => newest.map(lineOf).join('   '),
  }
})

function lineOf({ origin, destination, scheduledDeparture, delayMinutes }: FlightUpdate): string {
  const time = scheduledDeparture.slice(11, 16)
  return `${time} ${origin} to ${destination} ${delayMinutes > 0 ? `+${delayMinutes} min` : 'on time'}`
}
