import { Redis } from 'ioredis'
import { serve } from '../harness/program.ts'
import { flightEventAt } from '../load/flight-event.ts'
import { publishAll } from '../load/publish-all.ts'
import { stopwatch } from '../load/stopwatch.ts'
import type { Task, ThroughputProgram } from '../throughput/program.ts'

// The floor of publishing: what a careful person writes by hand with ioredis. Pipelines of 500 XADDs,
// two at a time so that neither side waits for the other; no validation, no identity, no trimming.
const PIPELINES_IN_FLIGHT = 2

serve({
  async publish({ place, warmUp, measured }: Task) {
    const redis = new Redis(place.url)
    const key = `${place.prefix}flights`
    const publishChunk = async (from: number, to: number): Promise<void> => {
      const pipeline = redis.pipeline()
      for (let i = from; i < to; i++)
        pipeline.xadd(key, '*', 'data', JSON.stringify(flightEventAt(i)))
      const replies = (await pipeline.exec()) ?? []
      for (const [error] of replies) if (error !== null) throw error
    }
    const chunksInFlight = PIPELINES_IN_FLIGHT
    await publishAll({ from: 0, to: warmUp, chunksInFlight }, publishChunk)
    const stop = stopwatch()
    await publishAll({ from: warmUp, to: warmUp + measured, chunksInFlight }, publishChunk)
    const lap = stop()
    redis.disconnect()
    return lap
  },
} satisfies Pick<ThroughputProgram, 'publish'>)
