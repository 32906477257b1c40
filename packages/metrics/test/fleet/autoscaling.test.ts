import { connect, defineStream } from '@millrace/runtime'
import { type RedisServer, startRedis, waitFor } from '@millrace/testkit'
import type { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { testServers } from './servers.ts'

// What docs/autoscaling.md says that KEDA's own scaler reads of our groups.

const flights = defineStream<{ n: number }>('flights')
const KEY = 'mr:{flights}flights'

for (const { title, binary, reason } of await testServers()) {
  describe.skipIf(reason !== undefined)(`KEDA’s scaler on ${title}`, () => {
    let server: RedisServer
    let redis: Redis

    beforeAll(async () => {
      server = await startRedis({ binary })
      redis = server.client()
    })
    beforeEach(async () => {
      await redis.flushall()
    })
    afterAll(() => server[Symbol.asyncDispose]())

    /** What it goes by: `lagCount` reads the one, `pendingEntriesCount` the other. */
    const read = async (group: string): Promise<{ lag: number | null; pending: number }> => {
      const groups = (await redis.xinfo('GROUPS', KEY)) as unknown[][]
      const fields = groups.find((flat) => flat[flat.indexOf('name') + 1] === group) ?? []
      const lag = fields[fields.indexOf('lag') + 1]
      const [pending] = (await redis.xpending(KEY, group)) as [number]
      return { lag: lag === null ? null : Number(lag), pending }
    }
    const events = (count: number): { n: number }[] =>
      Array.from({ length: count }, (_, n) => ({ n }))

    it('reads the true lag of a Consumer and of a ConsumerGroup that nobody is at, and no pending', async () => {
      await using millrace = await connect(server.url)
      await millrace.publish(flights, events(3))
      const board = millrace.consumer(flights, { name: 'board' }).start(() => undefined)
      const pool = millrace.consumerGroup(flights, { name: 'pool' }).start(() => undefined)
      for (const group of ['board', 'pool']) {
        await waitFor(async () => (await read(group)).lag === 0, {
          describe: `${group} to catch up`,
        })
      }
      await Promise.all([board.close(), pool.close()])
      await millrace.publish(flights, events(7))
      expect(await read('board')).toEqual({ lag: 7, pending: 0 })
      expect(await read('pool')).toEqual({ lag: 7, pending: 0 })
    })

    it('reads what members of a ConsumerGroup work on as pending, and nothing of a Consumer', async () => {
      await using millrace = await connect(server.url)
      const gate = Promise.withResolvers<void>()
      const hold = (): Promise<void> => gate.promise
      millrace.consumerGroup(flights, { name: 'pool', concurrency: 4 }).start(hold)
      millrace.consumer(flights, { name: 'board' }).start(hold)
      await millrace.publish(flights, events(4))
      await waitFor(async () => (await read('pool')).pending === 4, { describe: 'events in work' })
      expect((await read('pool')).lag).toBe(0)
      expect((await read('board')).pending).toBe(0)
      gate.resolve()
    })

    it('reads nil, which it takes for less than nothing, while a deleted event lies ahead', async () => {
      await redis.xgroup('CREATE', KEY, 'pool', '0', 'MKSTREAM')
      const ids: string[] = []
      for (let n = 0; n < 10; n++) ids.push(String(await redis.xadd(KEY, '*', 'data', n)))
      await redis.xreadgroup('GROUP', 'pool', 'c', 'COUNT', 2, 'NOACK', 'STREAMS', KEY, '>')
      expect((await read('pool')).lag).toBe(8)
      await redis.xdel(KEY, String(ids[5]))
      expect((await read('pool')).lag).toBeNull()
      await redis.xreadgroup('GROUP', 'pool', 'c', 'NOACK', 'STREAMS', KEY, '>')
      expect((await read('pool')).lag).toBe(0)
    })

    it('reads nil for a group that began in the middle, or was moved without a count', async () => {
      const ids: string[] = []
      for (let n = 0; n < 10; n++) ids.push(String(await redis.xadd(KEY, '*', 'data', n)))
      await redis.xgroup('CREATE', KEY, 'pool', String(ids[4]))
      expect((await read('pool')).lag).toBeNull()
      await redis.call('XGROUP', 'SETID', KEY, 'pool', String(ids[4]), 'ENTRIESREAD', 5)
      expect((await read('pool')).lag).toBe(5)
      await redis.xgroup('SETID', KEY, 'pool', String(ids[6]))
      expect((await read('pool')).lag).toBeNull()
    })

    it('reads too much, on Redis 7.0 and Valkey, after unread events were trimmed', async () => {
      await redis.xgroup('CREATE', KEY, 'pool', '0', 'MKSTREAM')
      for (let n = 0; n < 10; n++) await redis.xadd(KEY, '*', 'data', n)
      await redis.xreadgroup('GROUP', 'pool', 'c', 'COUNT', 3, 'NOACK', 'STREAMS', KEY, '>')
      await redis.xtrim(KEY, 'MAXLEN', 2)
      const isRight = binary?.product === 'redis' && !binary.version.startsWith('7.0')
      expect((await read('pool')).lag).toBe(isRight ? 2 : 7)
      await redis.xreadgroup('GROUP', 'pool', 'c', 'COUNT', 1, 'NOACK', 'STREAMS', KEY, '>')
      const staysWrong = binary?.product === 'redis' && binary.version.startsWith('7.0')
      expect((await read('pool')).lag).toBe(staysWrong ? 6 : 1)
    })
  })
}
