import { Redis } from 'ioredis'
import { serve } from '../harness/program.ts'
import type { SenderProgram, SendTask } from '../latency/program.ts'
import { sendPaced } from '../load/pace.ts'
import { timedEventAt } from '../load/timed-event.ts'

// One XADD for each event, by hand.
serve({
  async send({ place, ...pace }: SendTask) {
    const redis = new Redis(place.url)
    const key = `${place.prefix}timed`
    await redis.ping()
    const sent = await sendPaced(pace, (from, to) => {
      const calls: Promise<unknown>[] = []
      for (let i = from; i < to; i++) {
        calls.push(redis.xadd(key, '*', 'data', JSON.stringify(timedEventAt(i))))
      }
      return Promise.all(calls)
    })
    redis.disconnect()
    return sent
  },
} satisfies SenderProgram)
