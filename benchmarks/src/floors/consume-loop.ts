import { Redis } from 'ioredis'
import { serve } from '../harness/program.ts'
import type { FlightEvent } from '../load/flight-event.ts'
import { Tally } from '../load/tally.ts'
import type { Task, ThroughputProgram } from '../throughput/program.ts'

// The floor of consuming: a hand-written loop of XREADGROUP COUNT 500, JSON.parse, the handler, and
// one XACK for the batch. It has no lease, no retry, no validation, and no bound on what a read brings.
const COUNT = 500
const GROUP = 'bench'

type Reply = [key: string, entries: [id: string, fields: string[]][]][] | null

serve({
  async consume({ place, warmUp, measured }: Task) {
    const redis = new Redis(place.url)
    const key = `${place.prefix}flights`
    await redis.xgroup('CREATE', key, GROUP, '0')
    const tally = new Tally({ warmUp, measured })
    for (;;) {
      const reply = (await redis.xreadgroup(
        'GROUP',
        GROUP,
        'one',
        'COUNT',
        COUNT,
        'STREAMS',
        key,
        '>',
      )) as Reply
      const entries = reply?.[0]?.[1] ?? []
      if (entries.length === 0) break
      for (const [, fields] of entries) {
        tally.see((JSON.parse(fields[1] ?? '') as FlightEvent).sequence)
      }
      await redis.xack(key, GROUP, ...entries.map(([id]) => id))
    }
    const lap = tally.finish()
    redis.disconnect()
    return lap
  },
} satisfies Pick<ThroughputProgram, 'consume'>)
