import { describe, expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { channels } from '../../src/diagnostics.ts'
import {
  defineStream,
  type Event,
  type EventStream,
  type RetentionOptions,
} from '../../src/index.ts'
import { sweep } from '../../src/retention/sweep.ts'
import { resolveConnectOptions } from '../../src/connection/options.ts'
import { createCore } from '../../src/core.ts'
import { range, type Reading, useRedis } from '../open-millrace.ts'

const bed = useRedis()

/** Sweeps are made by the tests, when they want one. */
const QUIET = { sweepEveryMs: 3_600_000 } as const

async function sweepNow(
  stream: EventStream<Reading>,
  retention: RetentionOptions,
): Promise<number> {
  const core = createCore(resolveConnectOptions(bed.server.url, {}))
  try {
    const keys = core.keysOf(stream)
    const session = await core.connections.session('data', keys.tag)
    const resolved = defineStream(stream.name, { retention }).retention
    const answer = await sweep(session, keys, {
      retention: resolved,
      decides: true,
      periodMs: 1,
      continues: true,
    })
    return answer.outcome === 'swept' ? answer.removed : 0
  } finally {
    core.connections.close()
  }
}

/** A consumer of that name that has handled so many, and was closed. */
async function consumed(stream: EventStream<Reading>, name: string, count: number): Promise<void> {
  const millrace = await bed.open(QUIET)
  const seen: number[] = []
  const consumer = millrace.consumer(stream, { name }).start(({ data }) => {
    seen.push(data.n)
    if (seen.length === count) consumer.pause()
  })
  await waitFor(() => seen.length === count, { describe: 'the events before the gap' })
  await millrace.close()
}

async function all(reader: AsyncIterable<Event<Reading>>, into: number[] = []): Promise<number[]> {
  for await (const { data } of reader) into.push(data.n)
  return into
}

describe('A consumer whose position was trimmed away', () => {
  it('is told of the gap before it goes on, with the exact count, once', async () => {
    const stream = bed.stream()
    const ids = await bed.append(stream, 100)
    await consumed(stream, 'board', 10)
    expect(await sweepNow(stream, { maxLength: 40 })).toBe(60)
    const gaps = bed.gather(channels.gap)
    const millrace = await bed.open(QUIET)
    const before = await millrace.inspect(stream)
    const gap = { from: ids[9], to: ids[59], events: 50, known: true }
    expect(before.consumers[0]).toMatchObject({ expired: 50, gap })
    const order: (number | 'gap')[] = []
    bed.onClose(channels.gap.subscribe(() => order.push('gap')))
    const board = millrace.consumer(stream, { name: 'board' }).start(({ data }) => {
      order.push(data.n)
    })
    await waitFor(() => order.length === 41, { describe: 'the events after the gap' })
    expect(order).toEqual(['gap', ...range(40, 60)])
    expect(gaps).toEqual([{ stream: stream.name, name: 'board', ...gap }])
    await waitFor(async () => (await bed.state(stream, 'board'))['gap'] === '', {
      describe: 'the server to have heard of it',
    })
    await board.close()
    const after = await millrace.inspect(stream)
    expect(after.consumers[0]).toMatchObject({
      expired: 50,
      gap: undefined,
      lag: { events: 0, known: true },
    })
    const again = millrace.consumer(stream, { name: 'board' }).start(() => undefined)
    await again.ready
    await again.close()
    expect(gaps).toHaveLength(1)
  })

  it('stops before the gap if its owner chose that, and again until somebody decides otherwise', async () => {
    const stream = bed.stream()
    await bed.append(stream, 100)
    await consumed(stream, 'board', 10)
    await sweepNow(stream, { maxLength: 40 })
    const millrace = await bed.open(QUIET)
    const seen: number[] = []
    for (const _ of range(2)) {
      const strict = millrace
        .consumer(stream, { name: 'board', onGap: 'stop' })
        .start(({ data }) => {
          seen.push(data.n)
        })
      await expect(strict.done).rejects.toMatchObject({
        code: 'GAP',
        gap: { events: 50, known: true },
      })
    }
    expect(seen).toEqual([])
    millrace.consumer(stream, { name: 'board', onGap: 'continue' }).start(({ data }) => {
      seen.push(data.n)
    })
    await waitFor(() => seen.length === 40, { describe: 'the rest' })
    expect(seen).toEqual(range(40, 60))
  })

  it.each(['continue', 'stop'] as const)(
    'meets it in the middle of catching up: %s',
    async (onGap) => {
      const stream = bed.stream()
      await bed.append(stream, 3_000)
      const millrace = await bed.open(QUIET)
      const order: (number | 'gap')[] = []
      bed.onClose(
        channels.gap.subscribe(
          ({ events }) => order.push('gap') && expect(events).toBeGreaterThan(0),
        ),
      )
      const gate = Promise.withResolvers<void>()
      const board = millrace
        .consumer(stream, { name: 'board', onGap, maxInFlight: 20 })
        .start(async ({ data }) => {
          order.push(data.n)
          if (data.n === 5) await gate.promise
        })
      await waitFor(() => order.length === 6, { describe: 'the sixth event' })
      await sweepNow(stream, { maxLength: 500 })
      gate.resolve()
      if (onGap === 'stop') {
        await expect(board.done).rejects.toMatchObject({ code: 'GAP' })
        expect(order.filter((n) => n !== 'gap' && n >= 2_500)).toEqual([])
        return
      }
      await waitFor(() => order.at(-1) === 2_999, { describe: 'the last event' })
      const at = order.indexOf('gap')
      const behind = order.findIndex((n) => n !== 'gap' && n >= 2_500)
      expect(order.slice(behind)).toEqual(range(500, 2_500))
      expect(at).toBeLessThan(behind)
      expect(order.filter((n) => n === 'gap')).toHaveLength(1)
    },
  )

  it('is told that something is missing when it asks for a place that is gone', async () => {
    const stream = bed.stream()
    const millrace = await bed.open(QUIET)
    const results = await millrace.publish(
      stream,
      range(100).map((n) => ({ n })),
    )
    await sweepNow(stream, { maxLength: 40 })
    const gaps = bed.gather(channels.gap)
    const from = { id: results[9]?.id ?? '' }
    await millrace.consumer(stream, { name: 'late', from }).start(() => undefined).ready
    await millrace.consumerGroup(stream, { name: 'late-pool', from }).start(() => undefined).ready
    await millrace.consumer(stream, { name: 'fresh' }).start(() => undefined).ready
    await waitFor(() => gaps.length === 2, { describe: 'both to be told' })
    expect(gaps).toMatchObject([
      { name: 'late', from: from.id, to: results[59]?.id, known: false },
      { name: 'late-pool', from: from.id, to: results[59]?.id, known: false },
    ])
  })
})

describe('A consumer group', () => {
  it('is told of what was handed to nobody and of what was pending', async () => {
    const stream = bed.stream()
    const millrace = await bed.open(QUIET)
    const results = await millrace.publish(
      stream,
      range(100).map((n) => ({ n })),
    )
    const gaps = bed.gather(channels.gap)
    const gate = Promise.withResolvers<void>()
    bed.onClose(() => gate.resolve())
    const seen = new Set<number>()
    const workers = millrace
      .consumerGroup(stream, { name: 'workers', prefetch: 4, concurrency: 4, leaseMs: 600 })
      .start(async ({ data }) => {
        seen.add(data.n)
        await gate.promise
      })
    await waitFor(() => seen.size === 4, { describe: 'four to run' })
    await sweepNow(stream, { maxLength: 40 })
    await waitFor(() => gaps.length === 1, { describe: 'the group to be told' })
    expect(gaps).toMatchObject([{ name: 'workers', to: results[59]?.id, events: 60, known: true }])
    gate.resolve()
    await waitFor(() => seen.size === 44, { describe: 'what is left' })
    await waitFor(async () => (await millrace.inspect(stream)).groups[0]?.pending === 0, {
      describe: 'all acks',
    })
    expect((await millrace.inspect(stream)).groups[0]).toMatchObject({
      expired: 60,
      lag: { events: 0 },
    })
    await waitFor(async () => (await bed.state(stream, 'workers'))['gap'] === '', {
      describe: 'the mark',
    })
    expect(gaps).toHaveLength(1)
    await workers.close()
  })

  it('stops if its owner chose that', async () => {
    const stream = bed.stream()
    const millrace = await bed.open(QUIET)
    const first = millrace.consumerGroup(stream, { name: 'workers' }).start(() => undefined)
    await first.ready
    await first.close()
    await millrace.publish(
      stream,
      range(100).map((n) => ({ n })),
    )
    await sweepNow(stream, { maxLength: 40 })
    const strict = millrace
      .consumerGroup(stream, { name: 'workers', onGap: 'stop' })
      .start(() => undefined)
    await expect(strict.done).rejects.toMatchObject({
      code: 'GAP',
      gap: { events: 60, known: true },
    })
  })
})

describe('A reader', () => {
  it('with a cursor that was trimmed away gets the gap, and never reads over it silently', async () => {
    const stream = bed.stream()
    const millrace = await bed.open(QUIET)
    await millrace.publish(
      stream,
      range(100).map((n) => ({ n })),
    )
    const events: Event<Reading>[] = []
    for await (const event of millrace.reader(stream, { from: 'earliest', live: false }))
      events.push(event)
    await sweepNow(stream, { maxLength: 40 })
    const gaps = bed.gather(channels.gap)
    const cursor = events[9]?.cursor ?? ''
    expect(await all(millrace.reader(stream, { from: cursor, live: false }))).toEqual(range(40, 60))
    expect(gaps).toMatchObject([
      { name: 'reader', from: events[9]?.id, to: events[59]?.id, known: false },
    ])
    expect(gaps[0]?.events).toBeGreaterThanOrEqual(1)
    const strict = millrace.reader(stream, { from: cursor, live: false, onGap: 'stop' })
    const error: unknown = await all(strict).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'GAP', gap: { from: events[9]?.id, to: events[59]?.id } })
    const to = events[59]?.id ?? ''
    expect(
      await all(millrace.reader(stream, { from: { id: to }, live: false, onGap: 'stop' })),
    ).toEqual(range(40, 60))
  })

  it('with the cursor of the last event that was trimmed misses nothing, also in an empty stream', async () => {
    const stream = bed.stream()
    const millrace = await bed.open(QUIET)
    await millrace.publish(
      stream,
      range(100).map((n) => ({ n })),
    )
    const cursors: string[] = []
    for await (const { cursor } of millrace.reader(stream, { from: 'earliest', live: false }))
      cursors.push(cursor)
    await sweepNow(stream, { maxLength: 40 })
    const strict = { live: false, onGap: 'stop' } as const
    expect(await all(millrace.reader(stream, { from: cursors[59] ?? '', ...strict }))).toEqual(
      range(40, 60),
    )
    await bed.redis.xtrim(bed.key(stream), 'MAXLEN', 40)
    await waitFor(async () => (await sweepNow(stream, { maxAgeMs: 1 })) === 40, {
      describe: 'all to be old',
    })
    await millrace.publish(stream, { n: 100 })
    expect(await all(millrace.reader(stream, { from: cursors[99] ?? '', ...strict }))).toEqual([
      100,
    ])
    await expect(
      all(millrace.reader(stream, { from: cursors[98] ?? '', ...strict })),
    ).rejects.toMatchObject({
      code: 'GAP',
    })
    expect(await all(millrace.reader(stream, { from: 'earliest', ...strict }))).toEqual([100])
  })

  it('is not told of events that somebody deleted', async () => {
    const stream = bed.stream()
    const millrace = await bed.open(QUIET)
    await millrace.publish(
      stream,
      range(10).map((n) => ({ n })),
    )
    const events: Event<Reading>[] = []
    for await (const event of millrace.reader(stream, { from: 'earliest', live: false }))
      events.push(event)
    await bed.redis.xdel(bed.key(stream), ...events.slice(0, 5).map(({ id }) => id))
    const cursor = events[1]?.cursor ?? ''
    expect(
      await all(millrace.reader(stream, { from: cursor, live: false, onGap: 'stop' })),
    ).toEqual(range(5, 5))
  })

  it.each([true, false])(
    'that is slow meets a gap where it reads, after what it had (live: %s)',
    async (live) => {
      const stream = bed.stream()
      const millrace = await bed.open(QUIET)
      await millrace.publish(
        stream,
        range(3_000).map((n) => ({ n })),
      )
      const reader = millrace.reader(stream, {
        from: 'earliest',
        live,
        onGap: 'stop',
        bufferEvents: 50,
      })
      const seen: number[] = []
      const first = await reader.next()
      seen.push(first.value?.data.n ?? -1)
      await sweepNow(stream, { maxLength: 500 })
      const error: unknown = await all(reader, seen).catch((reason: unknown) => reason)
      expect(error).toMatchObject({
        code: 'GAP',
        gap: { events: expect.any(Number), known: false },
      })
      expect(seen).toEqual(range(seen.length))
      expect(seen.length).toBeLessThan(2_500)
    },
  )

  it('that has caught up meets what is removed before it comes to read it', async () => {
    const stream = bed.stream()
    const millrace = await bed.open(QUIET)
    const gaps = bed.gather(channels.gap)
    const membership = bed.gather(channels.tailMembership)
    const seen: number[] = []
    const stop = new AbortController()
    const first = await millrace.publish(stream, { n: 0 })
    const reading = all(millrace.reader(stream, { from: 'earliest', signal: stop.signal }), seen)
    await waitFor(() => membership.some(({ joined }) => joined), {
      describe: 'the reader to be there',
    })
    // What a sweep does between two reads, in one step, so that no read can come in between.
    const trimmed = await bed.redis.eval(
      `local ids = {}
       for n = 1, 10 do ids[n] = redis.call('XADD', KEYS[1], '*', 'data', '{"n":' .. n .. '}') end
       redis.call('XTRIM', KEYS[1], 'MINID', '=', ids[8])
       redis.call('HSET', KEYS[2], 'trimmed', ids[7])
       return ids[7]`,
      2,
      bed.key(stream),
      `${bed.key(stream)}:meta`,
    )
    await waitFor(() => seen.at(-1) === 10, { describe: 'the last event' })
    expect(seen).toEqual([0, 8, 9, 10])
    expect(gaps).toMatchObject([{ name: 'reader', from: first.id, to: trimmed, known: false }])
    stop.abort()
    await reading
  })
})
