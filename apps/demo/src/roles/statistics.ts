import { DelayStatistics } from '../flights/delay-statistics.ts'
import { flightUpdates, type FlightUpdate } from '../flights/flight-updates.ts'
import { type Act, play } from './role.ts'

/** An average may be a moment old; fetching several events at a time costs less. */
const LATENCY_BUDGET_MS = 10

await play(({ settings, millrace, journaled }): Act => {
  const statistics = new DelayStatistics()
  const consumer = millrace
    .consumer(flightUpdates, { name: settings.consumer, latencyBudgetMs: LATENCY_BUDGET_MS })
    .start(
      journaled<FlightUpdate>(({ data }) => {
        statistics.add(data)
      }),
    )
  return {
    ready: consumer.ready,
    done: consumer.done,
    close: () => consumer.close(),
    status: () => statistics.summary(),
  }
})
