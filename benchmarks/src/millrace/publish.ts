import { connect } from '@millrace/runtime'
import { serve } from '../harness/program.ts'
import { publishAll } from '../load/publish-all.ts'
import { stopwatch } from '../load/stopwatch.ts'
import type { Task, ThroughputProgram } from '../throughput/program.ts'
import { CHUNKS_IN_FLIGHT, publishFlights } from './publish-flights.ts'

// Publishing as users do it, with default options.
serve({
  async publish({ place, warmUp, measured }: Task) {
    const millrace = await connect(place.url, { prefix: place.prefix })
    const publishChunk = (from: number, to: number): Promise<void> =>
      publishFlights(millrace, from, to)
    const chunksInFlight = CHUNKS_IN_FLIGHT
    await publishAll({ from: 0, to: warmUp, chunksInFlight }, publishChunk)
    const stop = stopwatch()
    await publishAll({ from: warmUp, to: warmUp + measured, chunksInFlight }, publishChunk)
    const lap = stop()
    await millrace.close()
    return lap
  },
} satisfies Pick<ThroughputProgram, 'publish'>)
