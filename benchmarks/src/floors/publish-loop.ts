import { Redis } from 'ioredis'
import { serve } from '../harness/program.ts'
import { publishAll } from '../load/publish-all.ts'
import { stopwatch } from '../load/stopwatch.ts'
import type { Task, ThroughputProgram } from '../throughput/program.ts'
import { appendByPipeline, PIPELINES_IN_FLIGHT } from './pipelines.ts'

// The floor of publishing: pipelines of 500 XADDs.
serve({
  async publish({ place, warmUp, measured }: Task) {
    const redis = new Redis(place.url)
    const key = `${place.prefix}flights`
    const publishChunk = (from: number, to: number): Promise<void> =>
      appendByPipeline(redis, key, from, to)
    const chunksInFlight = PIPELINES_IN_FLIGHT
    await publishAll({ from: 0, to: warmUp, chunksInFlight }, publishChunk)
    const stop = stopwatch()
    await publishAll({ from: warmUp, to: warmUp + measured, chunksInFlight }, publishChunk)
    const lap = stop()
    redis.disconnect()
    return lap
  },
} satisfies Pick<ThroughputProgram, 'publish'>)
