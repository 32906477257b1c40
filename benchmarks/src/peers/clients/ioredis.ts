import { Redis } from 'ioredis'
import type { TimedEvent } from '../../load/timed-event.ts'
import { servePeer } from '../peer-program.ts'
import { pendingOf } from '../pending.ts'

// The floor: what a careful person writes by hand with ioredis 6. Pipelines of XADD; a loop around a
// blocked XREADGROUP COUNT 500 that acknowledges what a read brought with one XACK, and goes on after
// errors. No identity of events, no lease, no retry of a handler, no validation.
const GROUP = 'bench'
const COUNT = 500
const BLOCK_MS = 1_000

type Reply = [key: string, entries: [id: string, fields: string[]][]][] | null

servePeer({
  chunksInFlight: 2,
  openPublisher({ url, prefix }) {
    const redis = connectTo(url)
    const key = `${prefix}timed`
    return Promise.resolve({
      async publish(events: readonly TimedEvent[]) {
        const [only] = events
        if (only !== undefined && events.length === 1) {
          await redis.xadd(key, '*', 'data', JSON.stringify(only))
          return
        }
        const pipeline = redis.pipeline()
        for (const event of events) pipeline.xadd(key, '*', 'data', JSON.stringify(event))
        const replies = (await pipeline.exec()) ?? []
        for (const [error] of replies) if (error !== null) throw error
      },
      close: () => redis.quit(),
    })
  },
  async subscribe({ url, prefix }, handle) {
    const redis = connectTo(url)
    const admin = connectTo(url)
    const key = `${prefix}timed`
    await redis.xgroup('CREATE', key, GROUP, '0', 'MKSTREAM')
    void receive(redis, key, handle)
    return {
      unsettled: () => pendingOf(admin, key, GROUP),
      close: () => {
        redis.disconnect()
        admin.disconnect()
        return Promise.resolve()
      },
    }
  },
})

function connectTo(url: string): Redis {
  const redis = new Redis(url)
  // Reconnecting is ioredis's own business.
  redis.on('error', () => undefined)
  return redis
}

async function receive(
  redis: Redis,
  key: string,
  handle: (event: TimedEvent) => void,
): Promise<void> {
  // What was handed out before a crash comes first, as the documentation of consumer groups has it.
  let from = '0'
  while (redis.status !== 'end') {
    try {
      const reply = (await redis.xreadgroup(
        'GROUP',
        GROUP,
        'one',
        'COUNT',
        COUNT,
        'BLOCK',
        BLOCK_MS,
        'STREAMS',
        key,
        from,
      )) as Reply
      const entries = reply?.[0]?.[1] ?? []
      if (entries.length === 0) {
        from = '>'
        continue
      }
      for (const [, fields] of entries) handle(JSON.parse(fields[1] ?? '') as TimedEvent)
      await redis.xack(key, GROUP, ...entries.map(([id]) => id))
    } catch {
      from = '0'
    }
  }
}
