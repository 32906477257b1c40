import { describe, expect, it } from 'vitest'
import { startFaultProxy, waitFor } from '@millrace/testkit'
import { isMillraceError } from '@millrace/runtime'
import { isPollAdapterError, pollChannels, timeCursor } from '@millrace/poll-adapter'
import { useRedis } from '../open-millrace.ts'
import { append, openFeed, pollAll, range, type Reading } from './feed-bed.ts'

const bed = useRedis()

async function commands(): Promise<Map<string, number>> {
  const stats = String(await bed.redis.info('commandstats'))
  return new Map(
    [...stats.matchAll(/cmdstat_([^:]+):calls=(\d+)/g)].map(([, name = '', calls]) => [
      name,
      Number(calls),
    ]),
  )
}

describe('A poll that waits', () => {
  it('is answered by the next event', async () => {
    const stream = bed.stream<Reading>()
    const millrace = await bed.open()
    const feed = openFeed(bed, millrace, stream)
    const waiting = feed.poll({ waitMs: 20_000 })
    await waitFor(() => feed.waiting === 1, { describe: 'the poll to wait' })
    await millrace.publish(stream, { n: 1 })
    expect((await waiting).items).toEqual([{ n: 1 }])
  })

  it('is answered with nothing, and a cursor that still works, when the time is up', async () => {
    const stream = bed.stream<Reading>()
    const millrace = await bed.open()
    const feed = openFeed(bed, millrace, stream)
    const empty = await feed.poll({ waitMs: 30 })
    expect(empty).toEqual({ items: [], cursor: '.0-0', hasMore: false })
    await millrace.publish(
      stream,
      range(3).map((n) => ({ n })),
    )
    await waitFor(async () => (await feed.poll({ since: empty.cursor })).items.length === 3, {
      describe: 'what came later',
    })
  })

  it('ends when its client goes away, and leaves nothing behind', async () => {
    const feed = openFeed(bed, await bed.open(), bed.stream<Reading>())
    const client = new AbortController()
    const waiting = feed.poll({ waitMs: 20_000, signal: client.signal })
    await waitFor(() => feed.waiting === 1, { describe: 'the poll to wait' })
    client.abort()
    await expect(waiting).rejects.toSatisfy((error) => isPollAdapterError(error, 'ABORTED'))
    expect(feed.waiting).toBe(0)
  })

  it('is answered at once when the feed closes; later polls are refused', async () => {
    const feed = openFeed(bed, await bed.open(), bed.stream<Reading>())
    const waiting = feed.poll({ waitMs: 20_000 })
    await waitFor(() => feed.waiting === 1, { describe: 'the poll to wait' })
    await feed.close()
    expect((await waiting).items).toEqual([])
    await expect(feed.poll()).rejects.toSatisfy((error) => isPollAdapterError(error, 'CLOSED'))
    expect(feed.close()).toBe(feed.close())
  })

  it('does not keep a feed from closing while Redis is away', async () => {
    const stream = bed.stream<Reading>()
    await append(
      bed,
      stream,
      range(5).map((n) => ({ n })),
    )
    const proxy = await startFaultProxy(bed.server)
    bed.onClose(() => proxy[Symbol.asyncDispose]())
    const millrace = await bed.open({ deadlineMs: 600_000 }, proxy.url)
    const feed = openFeed(bed, millrace, stream, { memoryEvents: 1 })
    await feed.ready()
    proxy.blackhole('both')
    // What is older than the memory is read from Redis, which does not answer.
    const polled = feed.poll().then(
      ({ items }) => items.length,
      (error: unknown) => isPollAdapterError(error, 'CLOSED'),
    )
    await feed.close()
    expect([0, true]).toContain(await polled)
    await proxy.heal()
  })

  it('ends when the runtime is closed under the feed', async () => {
    const millrace = await bed.open()
    const feed = openFeed(bed, millrace, bed.stream<Reading>())
    const waiting = feed.poll({ waitMs: 20_000 })
    await waitFor(() => feed.waiting === 1, { describe: 'the poll to wait' })
    await millrace.close()
    expect((await waiting).items).toEqual([])
    await feed.closed
  })

  it('is refused when as many wait as may', async () => {
    const feed = openFeed(bed, await bed.open(), bed.stream<Reading>(), { maxWaiting: 2 })
    const waiting = [feed.poll({ waitMs: 20_000 }), feed.poll({ waitMs: 20_000 })]
    await waitFor(() => feed.waiting === 2, { describe: 'both polls to wait' })
    await expect(feed.poll({ waitMs: 20_000 })).rejects.toSatisfy((error) =>
      isPollAdapterError(error, 'BUSY'),
    )
    expect((await feed.poll()).items).toEqual([])
    await feed.close()
    await Promise.all(waiting)
  })

  it('goes on waiting over events that are left out', async () => {
    const stream = bed.stream<Reading>()
    const millrace = await bed.open()
    const feed = openFeed(bed, millrace, stream, {
      item: ({ data }) => (data.n % 2 === 1 ? { odd: data.n } : undefined),
    })
    const waiting = feed.poll({ waitMs: 20_000 })
    await waitFor(() => feed.waiting === 1, { describe: 'the poll to wait' })
    await millrace.publish(stream, { n: 2 })
    await millrace.publish(stream, { n: 3 })
    expect((await waiting).items).toEqual([{ odd: 3 }])
  })

  it('begins with what comes next where the owner says so', async () => {
    const stream = bed.stream<Reading>()
    const millrace = await bed.open()
    await append(
      bed,
      stream,
      range(3).map((n) => ({ n })),
    )
    const feed = openFeed(bed, millrace, stream, { start: 'latest', cursor: timeCursor() })
    const { items, cursor } = await feed.poll()
    expect(items).toEqual([])
    await append(bed, stream, [{ n: 3 }])
    expect((await feed.poll({ since: cursor, waitMs: 10_000 })).items).toEqual([{ n: 3 }])
  })
})

describe('While Redis is away', () => {
  it('polls are answered from memory and go on waiting; only what has to be read there is refused', async () => {
    const stream = bed.stream<Reading>()
    await append(
      bed,
      stream,
      range(5).map((n) => ({ n })),
    )
    const proxy = await startFaultProxy(bed.server)
    bed.onClose(() => proxy[Symbol.asyncDispose]())
    const millrace = await bed.open({ deadlineMs: 1_000 }, proxy.url)
    const feed = openFeed(bed, millrace, stream, { memoryEvents: 2 })
    const { cursor } = await pollAll(feed)
    proxy.blackhole('both')
    const waiting = feed.poll({ since: cursor, waitMs: 20_000 })
    await expect(feed.poll()).rejects.toSatisfy((error) => isMillraceError(error, 'UNAVAILABLE'))
    expect(await feed.poll({ since: cursor, waitMs: 20 })).toEqual({
      items: [],
      cursor,
      hasMore: false,
    })
    expect(feed.waiting).toBe(1)
    await proxy.heal()
    await append(bed, stream, [{ n: 5 }])
    expect((await waiting).items).toEqual([{ n: 5 }])
    expect((await feed.poll()).items).toHaveLength(6)
  })
})

describe('A thousand polls that wait', () => {
  it('cost one blocking read, and one event answers all of them from memory', async () => {
    const stream = bed.stream<Reading>()
    const millrace = await bed.open({ blockMs: 5_000 })
    const feed = openFeed(bed, millrace, stream)
    await millrace.publish(
      stream,
      range(50).map((n) => ({ n })),
    )
    const { cursor } = await pollAll(feed, { waitMs: 10_000 })
    const polled = bed.gather(pollChannels.feedPolled)
    await waitFor(
      async () => String(await bed.redis.info('clients')).includes('blocked_clients:1'),
      { describe: 'the feed to wait for what comes next' },
    )
    const before = await commands()
    const waiting = range(1_000).map(() => feed.poll({ since: cursor, waitMs: 20_000 }))
    await waitFor(() => feed.waiting === 1_000, { describe: 'all polls to wait' })
    await bed.redis.xadd(bed.key(stream), '*', 'data', '{"n":50}')
    const pages = await Promise.all(waiting)
    const after = await commands()
    expect(pages.every(({ items }) => items.length === 1)).toBe(true)
    // They share one page, not only what is in it.
    expect(new Set(pages).size).toBe(1)
    expect(polled.map(({ source }) => source)).toEqual(range(1_000).map(() => 'memory'))
    const calls = (name: string): number => (after.get(name) ?? 0) - (before.get(name) ?? 0)
    // The read that the event ended, and perhaps one that its time ended.
    expect(calls('xread')).toBeLessThanOrEqual(2)
    expect(calls('xrange')).toBe(0)
    expect(calls('evalsha') + calls('eval')).toBeLessThanOrEqual(2)
    expect(millrace.connections).toMatchObject({ tail: 1 })
  })

  it('at an old place cost one read of Redis, not a thousand', async () => {
    const stream = bed.stream<Reading>()
    await append(
      bed,
      stream,
      range(50).map((n) => ({ n, id: `${1_000 + n * 1_000}-0` })),
    )
    const feed = openFeed(bed, await bed.open(), stream, { memoryEvents: 1, cursor: timeCursor() })
    await feed.ready()
    const before = await commands()
    const pages = await Promise.all(range(1_000).map(() => feed.poll({ since: 5_000, limit: 10 })))
    expect(pages.every(({ items }) => items.length === 10)).toBe(true)
    const after = await commands()
    // The feed may still be reading the end of the stream.
    expect((after.get('xrange') ?? 0) - (before.get('xrange') ?? 0)).toBeLessThan(10)
  })
})

describe('A poll over many events that are left out', () => {
  it('goes on behind them, page by page, and hands out a cursor that does not go through them again', async () => {
    const stream = bed.stream<Reading>()
    await append(
      bed,
      stream,
      range(500).map((n) => ({ n })),
    )
    const feed = openFeed(bed, await bed.open(), stream, {
      item: ({ data }) => (data.n === 450 ? data : undefined),
      memoryEvents: 10,
    })
    const found = await feed.poll({ limit: 20 })
    expect(found.items).toEqual([{ n: 450 }])
    const rest = await feed.poll({ since: found.cursor, limit: 20 })
    expect(rest).toMatchObject({ items: [], hasMore: false })
    const polled = bed.gather(pollChannels.feedPolled)
    expect(await feed.poll({ since: rest.cursor })).toEqual(rest)
    expect(polled.map(({ source }) => source)).toEqual(['memory'])
  })
})
