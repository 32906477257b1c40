import { ensureUnpackedServer, redisBinary, type ServerBinary, waitFor } from '@millrace/testkit'
import { describe, expect, it } from 'vitest'
import type { EventStream, GroupReport, Millrace } from '../../src/index.ts'
import { type Reading, useRedis } from '../open-millrace.ts'

// Redis' own count of what was read lies in different ways in Redis 7.0, 8.0 and Valkey 9.1. The default is what is
// on PATH; with MILLRACE_TEST_SERVERS=all it is all three.

type Stream = EventStream<Reading, Reading>

for (const { title, binary, reason } of await servers()) {
  describe.skipIf(reason !== undefined)(`The lag that inspect() tells, on ${title}`, () => {
    const bed = useRedis({ binary })

    /** Counted by hand: what lies after where the native group is. */
    async function truth(stream: Stream, name: string): Promise<number> {
      const groups = (await bed.redis.xinfo('GROUPS', bed.key(stream))) as unknown[][]
      const flat = groups.find((group) => group[1] === name) ?? []
      const position = String(flat[flat.indexOf('last-delivered-id') + 1])
      return (await bed.redis.xrange(bed.key(stream), `(${position}`, '+')).length
    }

    async function groupOf(
      millrace: Millrace,
      stream: Stream,
      name: string,
    ): Promise<GroupReport | undefined> {
      const { groups } = await millrace.inspect(stream)
      return groups.find((group) => group.name === name)
    }

    const readForeign = (stream: Stream, count: number): Promise<unknown> =>
      bed.redis.xreadgroup(
        ...(['GROUP', 'theirs', 'c', 'COUNT', count, 'NOACK', 'STREAMS'] as const),
        bed.key(stream),
        '>',
      )

    it('is right after unread events were trimmed and a foreign group has read on', async () => {
      const millrace = await bed.open()
      const stream = bed.stream()
      await bed.append(stream, 1_000)
      await bed.redis.xgroup('CREATE', bed.key(stream), 'theirs', '0')
      await readForeign(stream, 3)
      await bed.redis.xtrim(bed.key(stream), 'MAXLEN', 900)
      await readForeign(stream, 200)
      const events = await truth(stream, 'theirs')
      expect(events).toBe(700)
      expect(await groupOf(millrace, stream, 'theirs')).toMatchObject({
        lag: { events, known: true },
      })
    })

    it('is right after unread events were trimmed and a consumer group has gone on', async () => {
      const millrace = await bed.open()
      const stream = bed.stream()
      await bed.append(stream, 1_000)
      let handled = 0
      const group = millrace.consumerGroup(stream, { name: 'pool', concurrency: 1, prefetch: 10 })
      bed.onClose(() => group.close())
      group.start(() => {
        handled++
        if (handled === 20 || handled === 60) group.pause()
      })
      await waitFor(() => handled >= 20, { describe: 'some events' })
      await bed.redis.xtrim(bed.key(stream), 'MAXLEN', 700)
      group.resume()
      await waitFor(() => handled >= 60, { describe: 'some more' })
      // What was read before the pause comes to rest first.
      const told = await waitFor(
        async () => {
          const events = await truth(stream, 'pool')
          const shown = await groupOf(millrace, stream, 'pool')
          return shown?.lag.known === true && shown.lag.events === events && shown
        },
        { describe: 'the truth' },
      )
      expect(told.lag.events).toBeGreaterThan(500)
    })

    it('is right for a consumer although events were removed that it had not read', async () => {
      const millrace = await bed.open()
      const stream = bed.stream()
      await bed.append(stream, 600)
      let handled = 0
      const consumer = millrace.consumer(stream, { name: 'board', maxInFlight: 10 })
      consumer.start(() => {
        if (++handled === 5 || handled === 40) consumer.pause()
      })
      await waitFor(() => handled === 5, { describe: 'five events' })
      await bed.redis.xtrim(bed.key(stream), 'MAXLEN', 400)
      consumer.resume()
      await waitFor(() => handled === 40, { describe: 'some more' })
      await consumer.close()
      const { consumers } = await millrace.inspect(stream)
      const [board] = consumers
      const after = await bed.redis.xrange(bed.key(stream), `(${board?.position ?? ''}`, '+')
      expect(after.length).toBeGreaterThan(300)
      expect(board?.lag).toMatchObject({ events: after.length, known: true })
    })

    it('is counted from the side that is nearer, and an estimate in between', async () => {
      const millrace = await bed.open()
      const stream = bed.stream()
      const ids = await bed.append(stream, 3_000)
      for (const [name, at] of [
        ['behind', 899],
        ['between', 1_499],
        ['ahead', 2_099],
      ] as const) {
        await bed.redis.xgroup('CREATE', bed.key(stream), name, ids[at] ?? '')
        // Nobody has read so much: whoever believes this is wrong.
        await bed.redis.xgroup('SETID', bed.key(stream), name, ids[at] ?? '', 'ENTRIESREAD', 2_990)
      }
      expect(await groupOf(millrace, stream, 'behind')).toMatchObject({
        lag: { events: 2_100, known: true },
      })
      expect(await groupOf(millrace, stream, 'ahead')).toMatchObject({
        lag: { events: 900, known: true },
      })
      const between = await groupOf(millrace, stream, 'between')
      expect(between?.lag.known).toBe(false)
      expect(between?.lag.events).toBeGreaterThan(0)
      expect(between?.lag.events).toBeLessThan(3_000)
    })

    it('is counted for so many positions only', async () => {
      const millrace = await bed.open()
      const stream = bed.stream()
      const ids = await bed.append(stream, 2_000)
      for (let n = 0; n < 20; n++) {
        await bed.redis.xgroup('CREATE', bed.key(stream), `g${n}`, ids[1_050 + n] ?? '')
      }
      // Those at the same place are counted once.
      for (let n = 0; n < 20; n++) {
        await bed.redis.xgroup('CREATE', bed.key(stream), `same${n}`, ids[1_050] ?? '')
      }
      const { groups } = await millrace.inspect(stream)
      const known = groups.filter(({ lag }) => lag.known)
      expect(known.length).toBeGreaterThanOrEqual(10)
      expect(known.length).toBeLessThan(40)
      for (const { name, lag } of known) {
        const n = name.startsWith('same') ? 0 : Number(name.slice(1))
        expect(lag.events).toBe(2_000 - 1_051 - n)
      }
    })
  })
}

interface TestServer {
  readonly title: string
  readonly binary: ServerBinary | undefined
  readonly reason: string | undefined
}

async function servers(): Promise<readonly TestServer[]> {
  const onPath = await redisBinary()
  const first: TestServer = {
    title: onPath === undefined ? 'redis' : `${onPath.product} ${onPath.version}`,
    binary: onPath,
    reason: onPath === undefined ? 'neither redis-server nor valkey-server is on PATH' : undefined,
  }
  if (process.env['MILLRACE_TEST_SERVERS'] !== 'all') return [first]
  const root = new URL('../../../..', import.meta.url).pathname
  const others = [
    { product: 'redis', suite: 'trixie' },
    { product: 'valkey', suite: 'forky' },
  ] as const
  const unpacked = others.map(async ({ product, suite }): Promise<TestServer> => {
    const { binary, reason } = await ensureUnpackedServer({ product, suite, root })
    const version = binary?.version ?? `of Debian ${suite} (${reason ?? 'not to be had'})`
    return { title: `${product} ${version}`, binary, reason }
  })
  return [first, ...(await Promise.all(unpacked))]
}
