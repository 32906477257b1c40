import { DelayStatistics } from '../flights/delay-statistics.ts'
import { flightUpdates, type FlightUpdate } from '../flights/flight-updates.ts'
import { type Act, play } from './role.ts'

await play(({ settings, millrace, journaled }): Act => {
  const statistics = new DelayStatistics()
  const consumer = millrace.consumer(flightUpdates, { name: settings.consumer }).start(
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
