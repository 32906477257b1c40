import { connect } from '@millrace/runtime'
import { serve } from '../harness/program.ts'
import { type FlightEvent, flightEventAt } from '../load/flight-event.ts'
import { plantSlowdown } from '../load/planted-slowdown.ts'
import { publishAll } from '../load/publish-all.ts'
import { stopwatch } from '../load/stopwatch.ts'
import type { Task, ThroughputProgram } from '../throughput/program.ts'
import { flights } from './flights.ts'

// Publishing as users do it, with default options: validated by the schema, each event appended once
// even if a batch has to be sent again. The chunks are those of the floor.
const CHUNKS_IN_FLIGHT = 8

serve({
  async publish({ place, warmUp, measured }: Task) {
    const millrace = await connect(place.url, { prefix: place.prefix })
    const slowDown = plantSlowdown()
    const publishChunk = async (from: number, to: number): Promise<void> => {
      const events: FlightEvent[] = []
      for (let i = from; i < to; i++) {
        events.push(flightEventAt(i))
        slowDown()
      }
      const results = await millrace.publish(flights, events)
      if (results.length !== events.length) throw new Error('not every event was answered')
    }
    const chunksInFlight = CHUNKS_IN_FLIGHT
    await publishAll({ from: 0, to: warmUp, chunksInFlight }, publishChunk)
    const stop = stopwatch()
    await publishAll({ from: warmUp, to: warmUp + measured, chunksInFlight }, publishChunk)
    const lap = stop()
    await millrace.close()
    return lap
  },
} satisfies Pick<ThroughputProgram, 'publish'>)
