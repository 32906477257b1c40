import { expectNoLeaks, type RedisServer, startRedis, waitFor } from '@millrace/testkit'
import { connect, defineStream, type Millrace } from '@millrace/runtime'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { FleetExporter } from '../../src/fleet/fleet-exporter.ts'
import type { FleetOptions } from '../../src/fleet/options.ts'
import type { GroupSnapshot, StreamSnapshot } from '../../src/fleet/snapshot.ts'
import { commandsRun, fillFleet } from './fill-fleet.ts'

const orders = defineStream<{ n: number }>('orders')
const KEY = 'mr:{orders}orders'

describe('The fleet exporter', () => {
  let server: RedisServer
  let closers: AsyncDisposableStack

  beforeAll(async () => {
    server = await startRedis()
  })
  beforeEach(async () => {
    await server.client().flushall()
    closers = new AsyncDisposableStack()
  })
  afterEach(async () => {
    await closers.disposeAsync()
    await expectNoLeaks(server)
  })
  afterAll(() => server[Symbol.asyncDispose]())

  const openExporter = (options: Partial<FleetOptions> = {}): FleetExporter =>
    closers.use(new FleetExporter({ redis: server.url, discoverEveryMs: 0, ...options }))
  const openMillrace = async (): Promise<Millrace> =>
    closers.use(await connect(server.url, { blockMs: 500 }))
  const streamIn = async (exporter: FleetExporter, key = KEY): Promise<StreamSnapshot> => {
    const found = (await exporter.snapshot()).streams.find((stream) => stream.key === key)
    if (found === undefined) throw new Error(`${key} is not shown`)
    return found
  }
  const groupIn = async (exporter: FleetExporter, name: string): Promise<GroupSnapshot> => {
    const found = (await streamIn(exporter)).groups.find((group) => group.name === name)
    if (found === undefined) throw new Error(`${name} is not shown`)
    return found
  }

  it('says the same as inspect() of the runtime', async () => {
    const millrace = await openMillrace()
    const failing = Promise.withResolvers<void>()
    const backoff = { firstMs: 1, greatestMs: 1 }
    millrace.consumer(orders, { name: 'board', maxAttempts: 2, backoff }).start(({ data }) => {
      if (data.n === 3) throw new Error('not this one')
      if (data.n === 9) failing.resolve()
    })
    millrace.consumerGroup(orders, { name: 'pool' }).start(() => undefined)
    await millrace.publish(
      orders,
      Array.from({ length: 10 }, (_, n) => ({ n })),
    )
    await failing.promise
    await server.client().xgroup('CREATE', KEY, 'foreign', '0')
    await waitFor(
      async () => {
        const { consumers, groups } = await millrace.inspect(orders)
        const pool = groups.find(({ name }) => name === 'pool')
        return consumers[0]?.lag.events === 0 && pool?.lag.events === 0 && pool.pending === 0
      },
      { describe: 'everything to be stored' },
    )
    const exporter = openExporter()
    const [shown, told] = [await streamIn(exporter), await millrace.inspect(orders)]
    expect(shown).toMatchObject({
      name: 'orders',
      lastEntryId: told.lastId,
      bytes: told.bytes,
      groupCount: 3,
      reading: { length: told.length, firstId: told.firstId, entriesAdded: told.entriesAdded },
    })
    const summary = shown.groups.map(({ name, kind, position, lag, pending, deadLetters }) => ({
      name,
      kind,
      position,
      lag: { events: lag.events, known: lag.known },
      pending,
      deadLetters,
    }))
    expect(summary).toEqual(
      [...told.consumers, ...told.groups]
        .map(({ name, kind, position, lag, deadLetters, ...rest }) => ({
          name,
          kind,
          position,
          lag: { events: lag.events, known: lag.known },
          pending: 'pending' in rest ? rest.pending : 0,
          deadLetters: kind === 'foreign' ? undefined : deadLetters,
        }))
        .toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    )
    expect(summary.find(({ name }) => name === 'board')?.deadLetters).toBe(1)
    expect(shown.groups.find(({ name }) => name === 'foreign')?.lag.events).toBe(10)
  })

  it('sees who is alive, who has expired, and who has given back the lease', async () => {
    const [first, second] = [await openMillrace(), await openMillrace()]
    const exporter = openExporter({ patienceMs: 1_000 })
    const leaseMs = 600
    const board = first.consumer(orders, { name: 'board', leaseMs }).start(() => undefined)
    const pool = second.consumerGroup(orders, { name: 'pool', leaseMs }).start(() => undefined)
    await Promise.all([board.ready, pool.ready])
    await waitFor(
      async () => {
        const groups = [await groupIn(exporter, 'board'), await groupIn(exporter, 'pool')]
        return groups.every(({ members }) => members?.alive === 1 && members.expired === 0)
      },
      { describe: 'both to be alive' },
    )
    await Promise.all([board.close(), pool.close()])
    const [held, worked] = [await groupIn(exporter, 'board'), await groupIn(exporter, 'pool')]
    expect(held.members).toMatchObject({ alive: 0, expired: 0 })
    expect(worked.members).toMatchObject({ alive: 0, expired: 0 })
    // One that is gone without a word.
    await server
      .client()
      .hset(`${KEY}:state:board`, 'released', '0', 'token', '9-ff', 'leaseMs', '50')
    await waitFor(async () => (await groupIn(exporter, 'board')).members?.expired === 1, {
      describe: 'the lease to run out',
    })
    await server.client().xadd(KEY, '*', 'data', '{"n":1}')
    await waitFor(async () => (await groupIn(exporter, 'board')).verdict === 'stopped', {
      describe: 'the verdict',
    })
  })

  it('shows dead letters, what is redriven, deliveries, and what expired unread', async () => {
    const redis = server.client()
    await fillFleet(redis, { streams: 1, groups: 2, events: 20 })
    const key = 'mr:{stream-0}stream-0'
    await redis.hset(`${key}:state:reader-0`, 'expired', '7')
    await redis.xgroup('CREATE', key, 'foreign', '0')
    await redis.hset(`${key}:meta`, 'foreign:foreign', '5|0-0|0|1')
    await redis.xadd(`${key}:redrive:reader-1`, '*', 'data', '{}')
    await redis.xgroup('CREATE', `${key}:redrive:reader-1`, 'reader-1', '0')
    await redis.xreadgroup('GROUP', 'reader-1', 'm:1', 'COUNT', 3, 'STREAMS', key, '>')
    const pending = ((await redis.xpending(key, 'reader-1', '-', '+', 100)) as [string][]).at(-1)
    await redis.xclaim(key, 'reader-1', 'm:1', 0, String(pending?.[0]), 'RETRYCOUNT', 5, 'JUSTID')
    const exporter = openExporter()
    const { groups, retentionMs } = await streamIn(exporter, key)
    expect(retentionMs).toBe(86_400_000)
    const [foreign, consumer, group] = groups
    expect(foreign).toMatchObject({ kind: 'foreign', expired: 5, deadLetters: undefined })
    expect(consumer).toMatchObject({ kind: 'consumer', expired: 7, deadLetters: 0 })
    expect(group).toMatchObject({ kind: 'group', expired: 0, deadLetters: 1, redriving: 1 })
    expect(group?.oldestDeadLetterAgeMs).toBeGreaterThanOrEqual(0)
    expect(group?.pendingByDeliveries?.['4-7']).toBe(1)
    expect(group?.headroomMs).toBeLessThanOrEqual(86_400_000)
    expect(group?.headroomMs).toBeGreaterThan(86_000_000)
    // Companions are no event streams of their own.
    expect((await exporter.snapshot()).streams.map((stream) => stream.key)).toEqual([key])
    await redis.del(`${key}:dead:reader-1`)
    await waitFor(async () => (await streamIn(exporter, key)).groups[2]?.deadLetters === 0, {
      describe: 'the dead letters to be gone',
    })
  })

  it('shows the last entry that is still there', async () => {
    const redis = server.client()
    const ids: string[] = []
    for (const ms of [10, 20, 30]) ids.push(String(await redis.xadd('s', `${ms}-0`, 'n', ms)))
    const exporter = openExporter()
    expect((await streamIn(exporter, 's')).lastEntryId).toBe('30-0')
    await redis.xdel('s', '30-0')
    expect((await streamIn(exporter, 's')).lastEntryId).toBe('20-0')
    await redis.xdel('s', '20-0', '10-0')
    expect((await streamIn(exporter, 's')).lastEntryId).toBe('0-0')
  })

  it('reads what it was asked to, up to its limits, and says what it skips', async () => {
    const redis = server.client()
    await fillFleet(redis, { streams: 12, groups: 4, events: 2 })
    await redis.xadd('other', '*', 'n', 1)
    const exporter = openExporter({
      include: ['mr:*'],
      exclude: ['*stream-1'],
      maxStreams: 10,
      maxGroupsPerStream: 3,
    })
    const snapshot = await exporter.snapshot()
    expect(snapshot.streams).toHaveLength(10)
    expect(snapshot.skippedStreams).toBe(1)
    expect(snapshot.skippedGroups).toBe(10)
    const keys = snapshot.streams.map(({ key }) => key)
    expect(keys).not.toContain('other')
    expect(keys).not.toContain('mr:{stream-1}stream-1')
    const text = await exporter.metrics()
    expect(text).toContain('millrace_exporter_streams{standing="skipped"} 1\n')
    expect(text).toContain('redis_stream_groups{db="db0",stream="mr:{stream-0}stream-0"} 4\n')
    const withoutConsumers = await openExporter({ maxConsumersPerGroup: 0 }).metrics()
    expect(text).toContain('redis_stream_group_consumer_idle_seconds')
    expect(withoutConsumers).not.toContain('redis_stream_group_consumer_')
  })

  it('keeps to its commands, counts them as the server does, and reads all details in turns', async () => {
    const redis = server.client()
    await fillFleet(redis, { streams: 60, groups: 5, events: 12 })
    const exporter = openExporter({ maxStreams: 60, maxCommands: 150, discoverEveryMs: 60_000 })
    await exporter.snapshot()
    const members = async (): Promise<number> =>
      (await exporter.snapshot()).streams.flatMap(({ groups }) =>
        groups.filter((group) => group.members !== undefined),
      ).length
    const before = await commandsRun(redis)
    const { commands } = await exporter.snapshot()
    expect((await commandsRun(redis)) - before - 1).toBe(commands)
    expect(commands).toBeLessThanOrEqual(150)
    await waitFor(async () => (await members()) === 300, { describe: 'all states to be read' })
    const { streams, detailsAgeMs, errors } = await exporter.snapshot()
    expect(streams.every(({ groups }) => groups.every(({ lag }) => lag.known))).toBe(true)
    expect(detailsAgeMs).toBeGreaterThan(0)
    expect(Object.values(errors).every((count) => count === 0)).toBe(true)
  })

  it('needs fewer than 3,000 commands for 1,000 streams with 5 groups each', async () => {
    const redis = server.client()
    await fillFleet(redis, { streams: 1_000, groups: 5, events: 6 })
    const exporter = openExporter({ discoverEveryMs: 60_000 })
    await exporter.snapshot()
    const before = await commandsRun(redis)
    const { streams } = await exporter.snapshot()
    expect(streams).toHaveLength(1_000)
    expect((await commandsRun(redis)) - before).toBeLessThan(3_000)
  })

  it('never uses KEYS, and reads a large key space in several scrapes', async () => {
    const redis = server.client()
    const work = redis.pipeline()
    for (let i = 0; i < 20_000; i++) work.set(`other-${i}`, '')
    await work.exec()
    await redis.xadd('s', '*', 'n', 1)
    await redis.config('RESETSTAT')
    const exporter = openExporter({ maxStreams: 10, maxCommands: 30 })
    await exporter.snapshot()
    expect((await exporter.readiness()).isReady).toBe(false)
    await waitFor(async () => (await exporter.readiness()).isReady, { describe: 'all keys' })
    expect((await streamIn(exporter, 's')).reading.length).toBe(1)
    const stats = await redis.info('commandstats')
    expect(stats).toContain('cmdstat_scan')
    expect(stats).not.toContain('cmdstat_keys:')
  })

  it('estimates lags that it may not count, and says so', async () => {
    const redis = server.client()
    const work = redis.pipeline()
    for (let ms = 1; ms <= 5_000; ms++) work.xadd('s', `${ms}-0`, 'n', ms)
    await work.exec()
    await redis.xgroup('CREATE', 's', 'g', '2000-0')
    const few = await streamIn(openExporter({ maxCountedEvents: 100 }), 's')
    expect(few.groups[0]?.lag.known).toBe(false)
    expect(Math.abs((few.groups[0]?.lag.events ?? 0) - 3_000)).toBeLessThan(5)
    const none = await streamIn(openExporter({ maxCountedEvents: 0 }), 's')
    expect(none.groups[0]?.lag.known).toBe(false)
    const all = await streamIn(openExporter(), 's')
    expect(all.groups[0]?.lag).toMatchObject({ known: true, events: 3_000 })
  })

  it('leaves large payloads in Redis, and says the same without them', async () => {
    const redis = server.client()
    for (const key of ['large', 'small']) {
      await redis.xadd(key, '1-0', 'data', 'x'.repeat(key === 'large' ? 500_000 : 10))
      for (const ms of [2, 3, 4]) await redis.xadd(key, `${ms}-0`, 'data', '1')
      await redis.xgroup('CREATE', key, 'g', '2-0')
      await redis.xreadgroup('GROUP', 'g', 'c', 'COUNT', 1, 'STREAMS', key, '>')
    }
    const exporter = openExporter({ discoverEveryMs: 60_000 })
    const sent = async (): Promise<number> =>
      Number(/total_net_output_bytes:(\d+)/.exec(await redis.info('stats'))?.[1])
    const first = await streamIn(exporter, 'large')
    const [before, commandsBefore] = [await sent(), await commandsRun(redis)]
    const { commands } = await exporter.snapshot()
    // One INFO of ours is among the commands, and two answers to INFO among the bytes.
    expect((await commandsRun(redis)) - commandsBefore - 1).toBe(commands)
    expect((await sent()) - before).toBeLessThan(50_000)
    const [lean, plain] = [await streamIn(exporter, 'large'), await streamIn(exporter, 'small')]
    expect(lean.reading).toEqual(first.reading)
    const timeless = ({ groups }: StreamSnapshot): unknown =>
      groups.map(({ position, pending, lag: { events, known }, consumerCount, entriesRead }) => [
        ...[position, pending, events, known, consumerCount, entriesRead],
      ])
    expect(timeless(lean)).toEqual(timeless(plain))
    expect(timeless(lean)).toEqual([['3-0', 1, 1, true, 1, first.groups[0]?.entriesRead]])
  })

  it('counts in turns when it may not count everything at once', async () => {
    const redis = server.client()
    const keys = ['a', 'b', 'c', 'd', 'e', 'f']
    for (const key of keys) {
      const work = redis.pipeline()
      for (let ms = 1; ms <= 400; ms++) work.xadd(key, `${ms}-0`, 'n', ms)
      await work.exec()
      await redis.xgroup('CREATE', key, 'g', '100-0')
    }
    const exporter = openExporter({ maxCountedEvents: 300, discoverEveryMs: 60_000 })
    const positions = new Map<string, number>()
    const known = new Set<string>()
    for (let scrape = 0; scrape < keys.length * 2; scrape++) {
      for (const { key, groups } of (await exporter.snapshot()).streams) {
        const [group] = groups
        if (group?.lag.known !== true) continue
        known.add(key)
        expect(group.lag.events).toBe(400 - Number(group.position.split('-')[0]))
      }
      // They move in a way that no figure tells of, so all of them have to be counted again.
      for (const key of keys) {
        const position = (positions.get(key) ?? 100) + 1
        positions.set(key, position)
        await redis.xgroup('SETID', key, 'g', `${position}-0`)
      }
    }
    expect([...known].toSorted((a, b) => (a < b ? -1 : 1))).toEqual(keys)
  })

  it('counts others although one cannot be finished, which nobody could know', async () => {
    const redis = server.client()
    const work = redis.pipeline()
    // By time there seems to be next to nothing behind its position.
    work.xadd('long', '1-0', 'n', 1)
    for (let n = 1; n <= 1_000; n++) work.xadd('long', `10000-${n}`, 'n', n)
    for (let ms = 1; ms <= 200; ms++) work.xadd('other', `${ms}-0`, 'n', ms)
    await work.exec()
    await redis.xgroup('CREATE', 'long', 'g', '9999-0')
    await redis.xgroup('CREATE', 'other', 'g', '100-0')
    const exporter = openExporter({ maxCountedEvents: 300, discoverEveryMs: 60_000 })
    await waitFor(async () => (await streamIn(exporter, 'other')).groups[0]?.lag.known === true, {
      describe: 'the other to be counted',
    })
  })

  it('shares one scrape among all who ask at once', async () => {
    const exporter = openExporter()
    await exporter.snapshot()
    const before = await commandsRun(server.client())
    const [one, other] = await Promise.all([exporter.snapshot(), exporter.snapshot()])
    expect(one).toBe(other)
    expect((await commandsRun(server.client())) - before - 1).toBe(one.commands)
  })
})
