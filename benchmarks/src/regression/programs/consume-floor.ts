import { Redis } from 'ioredis'
import { readAsGroup } from '../../floors/read-as-group.ts'
import { serve } from '../../harness/program.ts'
import type { Place } from '../../harness/workbench.ts'
import { Tally } from '../../load/tally.ts'
import type { SliceProgram } from '../slice-program.ts'

// The floor of consuming, a slice at a time.
let redis: Redis
let key: string
let slices = 0

serve({
  async open({ url, prefix }: Place) {
    redis = new Redis(url)
    key = `${prefix}flights`
    await redis.ping()
  },

  async slice(events: number) {
    slices += 1
    const tally = new Tally({ warmUp: 1, measured: events - 1 })
    await readAsGroup(redis, key, `floor-${slices}`, (sequence) => {
      tally.see(sequence)
    })
    return tally.finish()
  },
} satisfies SliceProgram)
