import { Redis } from 'ioredis'
import { appendByPipeline, PIPELINES_IN_FLIGHT } from '../../floors/pipelines.ts'
import { serve } from '../../harness/program.ts'
import type { Place } from '../../harness/workbench.ts'
import { publishAll } from '../../load/publish-all.ts'
import { stopwatch } from '../../load/stopwatch.ts'
import type { SliceProgram } from '../slice-program.ts'

// The floor of publishing, a slice at a time.
let redis: Redis
let key: string
let published = 0

serve({
  async open({ url, prefix }: Place) {
    redis = new Redis(url)
    key = `${prefix}flights`
    await redis.ping()
  },

  async slice(events: number) {
    const range = { from: published, to: published + events, chunksInFlight: PIPELINES_IN_FLIGHT }
    published += events
    const stop = stopwatch()
    await publishAll(range, (from, to) => appendByPipeline(redis, key, from, to))
    return stop()
  },
} satisfies SliceProgram)
