import { connect } from '@millrace/runtime'
import { serve } from '../harness/program.ts'
import { flightEventAt } from '../load/flight-event.ts'
import { publishAll } from '../load/publish-all.ts'
import { stopwatch } from '../load/stopwatch.ts'
import type { Task, ThroughputProgram } from '../throughput/program.ts'
import { flights } from './flights.ts'

// One call for each event, as a request handler makes it, with many under way: what gathering the
// calls of one tick into batches is worth, and what a promise for each event costs.
const CHUNKS_IN_FLIGHT = 8

serve({
  async publish({ place, warmUp, measured }: Task) {
    const millrace = await connect(place.url, { prefix: place.prefix })
    const publishChunk = async (from: number, to: number): Promise<void> => {
      const calls: Promise<unknown>[] = []
      for (let i = from; i < to; i++) calls.push(millrace.publish(flights, flightEventAt(i)))
      await Promise.all(calls)
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
