import { Redis } from 'ioredis'
import { serve } from '../harness/program.ts'
import { Tally } from '../load/tally.ts'
import type { Task, ThroughputProgram } from '../throughput/program.ts'
import { readAsGroup } from './read-as-group.ts'

// The floor of consuming, over everything that was published.
serve({
  async consume({ place, warmUp, measured }: Task) {
    const redis = new Redis(place.url)
    const tally = new Tally({ warmUp, measured })
    await readAsGroup(redis, `${place.prefix}flights`, 'bench', (sequence) => {
      tally.see(sequence)
    })
    const lap = tally.finish()
    redis.disconnect()
    return lap
  },
} satisfies Pick<ThroughputProgram, 'consume'>)
