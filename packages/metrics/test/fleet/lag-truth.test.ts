import { expectNoLeaks, type RedisServer, startRedis } from '@millrace/testkit'
import fc from 'fast-check'
import type { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { FleetExporter } from '../../src/fleet/fleet-exporter.ts'
import type { GroupSnapshot } from '../../src/fleet/snapshot.ts'
import { testServers } from './servers.ts'

const KEY = 'readings'

for (const { title, binary, reason } of await testServers()) {
  describe.skipIf(reason !== undefined)(`Lag on ${title}${reason ? ` (${reason})` : ''}`, () => {
    let server: RedisServer
    let redis: Redis
    let exporter: FleetExporter

    beforeAll(async () => {
      server = await startRedis({ binary })
      redis = server.client()
    })
    beforeEach(async () => {
      await redis.flushall()
      exporter = new FleetExporter({ redis: server.url, discoverEveryMs: 0 })
    })
    afterEach(async () => {
      await exporter.close()
      await expectNoLeaks(server)
    })
    afterAll(() => server[Symbol.asyncDispose]())

    const add = async (count: number): Promise<string[]> => {
      const ids: string[] = []
      for (let i = 0; i < count; i++) ids.push(String(await redis.xadd(KEY, '*', 'n', i)))
      return ids
    }
    const read = (count: number): Promise<unknown> =>
      redis.xreadgroup('GROUP', 'g', 'c', 'COUNT', count, 'NOACK', 'STREAMS', KEY, '>')
    const shown = async (): Promise<GroupSnapshot | undefined> => {
      const { streams } = await exporter.snapshot()
      return streams.find(({ key }) => key === KEY)?.groups.find(({ name }) => name === 'g')
    }
    /** Counted by hand: the entries after the position, and since when the first of them has been there. */
    const truth = async (): Promise<{ events: number; firstMs: number | undefined }> => {
      const [group] = (await redis.xinfo('GROUPS', KEY)) as string[][]
      const position = group?.[group.indexOf('last-delivered-id') + 1] ?? ''
      const entries = await redis.xrange(KEY, `(${position}`, '+')
      const [first] = entries
      return { events: entries.length, firstMs: first && Number(first[0].split('-')[0]) }
    }
    const expectTruth = async (): Promise<void> => {
      const { events, firstMs } = await truth()
      const before = Date.now()
      const group = await shown()
      expect(group?.lag).toMatchObject({ events, known: true })
      if (firstMs === undefined) expect(group?.lag.ms).toBe(0)
      else {
        expect(group?.lag.ms).toBeGreaterThanOrEqual(before - firstMs - 2)
        expect(group?.lag.ms).toBeLessThanOrEqual(Date.now() - firstMs + 2)
      }
    }

    it('is right before, while and after a group reads', async () => {
      await redis.xgroup('CREATE', KEY, 'g', '0', 'MKSTREAM')
      await expectTruth()
      await add(10)
      await expectTruth()
      await read(3)
      await expectTruth()
      await read(100)
      await expectTruth()
    })

    it('is right after unread events were trimmed, also when the group has read on', async () => {
      await add(1_000)
      await redis.xgroup('CREATE', KEY, 'g', '0')
      await read(3)
      await expectTruth()
      await redis.xtrim(KEY, 'MAXLEN', 900)
      await expectTruth()
      // Redis 7.0 goes on counting from where it was, and never notices.
      await read(200)
      expect((await truth()).events).toBe(700)
      await expectTruth()
      await read(300)
      await expectTruth()
    })

    it('is right after XDEL of unread, read, first and last events', async () => {
      const ids = await add(20)
      await redis.xgroup('CREATE', KEY, 'g', '0')
      await read(5)
      for (const index of [8, 2, 0, 19, 18, 5, 6]) {
        await redis.xdel(KEY, String(ids[index]))
        await expectTruth()
      }
      await read(4)
      await expectTruth()
      await read(100)
      await expectTruth()
      await add(3)
      await expectTruth()
    })

    it('is right for a group that was created in the middle, at the end, and beyond it', async () => {
      const ids = await add(10)
      await redis.xgroup('CREATE', KEY, 'g', String(ids[4]))
      await expectTruth()
      await read(2)
      await expectTruth()
      await redis.xgroup('DESTROY', KEY, 'g')
      await redis.xgroup('CREATE', KEY, 'g', '$')
      await expectTruth()
      await redis.xgroup('DESTROY', KEY, 'g')
      await redis.xgroup('CREATE', KEY, 'g', '99999999999999-0')
      await add(2)
      await expectTruth()
    })

    it('is right after XGROUP SETID, with the true count, without one, and with a wrong one', async () => {
      const ids = await add(50)
      await redis.xgroup('CREATE', KEY, 'g', '0')
      await read(10)
      await expectTruth()
      for (const [index, entriesRead] of [
        [29, 30],
        [19, undefined],
        [9, 45],
        [39, 3],
        [44, 0],
      ] as const) {
        const count = entriesRead === undefined ? [] : ['ENTRIESREAD', entriesRead]
        await redis.call('XGROUP', 'SETID', KEY, 'g', String(ids[index]), ...count)
        await expectTruth()
        await add(1)
        await read(1)
        await expectTruth()
      }
    })

    it('forgets what it knew after FLUSHALL, and when a stream is made anew', async () => {
      await add(30)
      await redis.xgroup('CREATE', KEY, 'g', '0')
      await read(10)
      await expectTruth()
      await redis.flushall()
      expect(await shown()).toBeUndefined()
      const ids = await add(8)
      await redis.xgroup('CREATE', KEY, 'g', String(ids[2]))
      await expectTruth()
      await redis.del(KEY)
      const more = await add(60)
      await redis.xgroup('CREATE', KEY, 'g', String(more[2]))
      await read(5)
      await expectTruth()
    })

    const step = fc.oneof(
      {
        weight: 3,
        arbitrary: fc.record({ do: fc.constant('add'), n: fc.integer({ min: 1, max: 20 }) }),
      },
      {
        weight: 3,
        arbitrary: fc.record({ do: fc.constant('read'), n: fc.integer({ min: 1, max: 15 }) }),
      },
      {
        weight: 1,
        arbitrary: fc.record({ do: fc.constant('trim'), n: fc.integer({ min: 0, max: 30 }) }),
      },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('delete'), n: fc.nat(40) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('set'), n: fc.nat(40) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('anew'), n: fc.nat(5) }) },
    )
    const take = async (what: string, n: number): Promise<void> => {
      const entries = await redis.xrange(KEY, '-', '+')
      const id = entries[n % Math.max(entries.length, 1)]?.[0] ?? '0'
      if (what === 'add') await add(n)
      else if (what === 'read') await read(n)
      else if (what === 'trim') await redis.xtrim(KEY, 'MAXLEN', n)
      else if (what === 'delete') await redis.xdel(KEY, id)
      else if (what === 'set' && n % 2 === 0) await redis.xgroup('SETID', KEY, 'g', id)
      else if (what === 'set') {
        await redis.call('XGROUP', 'SETID', KEY, 'g', id, 'ENTRIESREAD', n)
      } else {
        await redis.del(KEY)
        await add(n)
        await redis.xgroup('CREATE', KEY, 'g', '0', 'MKSTREAM')
      }
    }

    it('has the age of the first that is left when the first unread one was deleted', async () => {
      const nowMs = Date.now()
      const agoIds = [60_000, 50_000, 40_000, 30_000].map((ms) => `${nowMs - ms}-0`)
      const [first = '', second = '', third = '', fourth = ''] = agoIds
      await redis.xgroup('CREATE', KEY, 'g', '0', 'MKSTREAM')
      for (const id of [first, second, third]) await redis.xadd(KEY, id, 'n', 1)
      await read(1)
      await expectTruth()
      await redis.xdel(KEY, second)
      await expectTruth()
      await redis.xdel(KEY, third)
      await expectTruth()
      await redis.xadd(KEY, fourth, 'n', 1)
      await expectTruth()
    })

    it('is right after any sequence of these', { timeout: 120_000 }, async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
          await redis.flushall()
          await redis.xgroup('CREATE', KEY, 'g', '0', 'MKSTREAM')
          for (const { do: what, n } of steps) {
            await take(what, n)
            await expectTruth()
          }
        }),
        { numRuns: 15 },
      )
    })

    it('is never called known when it is not, without counting', { timeout: 120_000 }, async () => {
      let known = 0
      let unknown = 0
      const looks = fc.array(fc.tuple(step, fc.boolean()), { maxLength: 40 })
      await fc.assert(
        fc.asyncProperty(looks, async (steps) => {
          await redis.flushall()
          await redis.xgroup('CREATE', KEY, 'g', '0', 'MKSTREAM')
          await using figuresOnly = new FleetExporter({
            redis: server.url,
            discoverEveryMs: 0,
            maxCountedEvents: 0,
          })
          for (const [{ do: what, n }, isLookedAt] of steps) {
            // A count that somebody makes up is all that figures cannot tell from a true one.
            await take(what, what === 'set' ? n * 2 : n)
            if (!isLookedAt) continue
            const { streams } = await figuresOnly.snapshot()
            const lag = streams[0]?.groups[0]?.lag
            if (lag?.known === true) expect(lag.events).toBe((await truth()).events)
            if (lag?.known === true) known += 1
            else unknown += 1
          }
        }),
        { numRuns: 40 },
      )
      expect(known).toBeGreaterThan(unknown)
    })
  })
}
