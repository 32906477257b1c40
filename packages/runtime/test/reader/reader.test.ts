import { describe, expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import * as z from 'zod'
import { channels } from '../../src/diagnostics.ts'
import { defineStream, type Event, type EventStream } from '../../src/index.ts'
import type { Reader } from '../../src/reader/reader.ts'
import { range, type Reading, useRedis } from '../open-millrace.ts'

const bed = useRedis({ persistence: true })

/** Takes events until there are so many, and ends the reader then. */
async function take<Data>(reader: Reader<Data>, count: number): Promise<Event<Data>[]> {
  const events: Event<Data>[] = []
  for await (const event of reader) {
    events.push(event)
    if (events.length === count) break
  }
  return events
}

async function all<Data>(reader: Reader<Data>): Promise<Event<Data>[]> {
  const events: Event<Data>[] = []
  for await (const event of reader) events.push(event)
  return events
}

function numbers(events: readonly Event<Reading>[]): number[] {
  return events.map(({ data }) => data.n)
}

describe('A reader', () => {
  it('reads from the earliest event on, and goes on with new ones', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    await bed.append(stream, 1_200)
    const reading = take(millrace.reader(stream, { from: 'earliest' }), 1_210)
    await bed.append(stream, 10, { first: 1_200 })
    expect(numbers(await reading)).toEqual(range(1_210))
  })

  it('begins with what comes next when nothing is said', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    await bed.append(stream, 5)
    const membership = bed.gather(channels.tailMembership)
    const reading = take(millrace.reader(stream), 2)
    await waitFor(() => membership.length > 0, { describe: 'the reader to be there' })
    await bed.append(stream, 2, { first: 5 })
    expect(numbers(await reading)).toEqual([5, 6])
  })

  it('begins after an id, at a time, and after the cursor of an event', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    for (const n of range(5))
      await bed.redis.xadd(bed.key(stream), `${1_000 + n}-3`, 'data', JSON.stringify({ n }))
    expect(
      numbers(await all(millrace.reader(stream, { from: { id: '1002-3' }, live: false }))),
    ).toEqual([3, 4])
    expect(
      numbers(await all(millrace.reader(stream, { from: { id: '1002-2' }, live: false }))),
    ).toEqual([2, 3, 4])
    expect(
      numbers(await all(millrace.reader(stream, { from: { timeMs: 1_003 }, live: false }))),
    ).toEqual([3, 4])
    const [, , third] = await all(millrace.reader(stream, { from: 'earliest', live: false }))
    expect(third?.cursor.endsWith('.1002-3')).toBe(true)
    expect(
      numbers(await all(millrace.reader(stream, { from: third?.cursor ?? '', live: false }))),
    ).toEqual([3, 4])
  })

  it('writes nothing to Redis', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    await bed.append(stream, 100)
    const before = await bed.redis.dbsize()
    const dirty = async (): Promise<string | undefined> =>
      /rdb_changes_since_last_save:(\d+)/.exec(String(await bed.redis.info('persistence')))?.[1]
    const changes = await dirty()
    await all(millrace.reader(stream, { from: 'earliest', live: false }))
    await all(millrace.reader(bed.stream(), { from: 'earliest', live: false }))
    expect(await bed.redis.dbsize()).toBe(before)
    expect(await dirty()).toBe(changes)
  })

  it('ends at the end of the stream where it is not live, while others go on publishing', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    await bed.append(stream, 50)
    const seen: number[] = []
    for await (const { data } of millrace.reader(stream, { from: 'earliest', live: false })) {
      // Each event that is taken brings another one for a while, and then they stop.
      if (seen.length < 80) await bed.append(stream, 1, { first: 50 + seen.length })
      seen.push(data.n)
    }
    expect(seen).toEqual(range(seen.length))
    expect(seen.length).toBeGreaterThanOrEqual(50)
  })

  it('ends at once on an empty stream where it is not live', async () => {
    const millrace = await bed.open()
    expect(await all(millrace.reader(bed.stream(), { from: 'earliest', live: false }))).toEqual([])
  })

  it('answers calls of next that were made at the same time, in order', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    await using reader = millrace.reader(stream, { from: 'earliest' })
    const calls = range(5).map(() => reader.next())
    await bed.append(stream, 5)
    const results = await Promise.all(calls)
    expect(results.map(({ value }) => value?.data.n)).toEqual(range(5))
    const waiting = range(3).map(() => reader.next())
    await reader.close()
    expect(await Promise.all(waiting)).toEqual(
      range(3).map(() => ({ done: true, value: undefined })),
    )
  })

  it('is closed when its loop is left, and stays so', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    await bed.append(stream, 10)
    const reader = millrace.reader(stream, { from: 'earliest' })
    await take(reader, 3)
    await reader.closed
    expect(await reader.next()).toEqual({ done: true, value: undefined })
    expect(reader.close()).toBe(reader.close())
  })

  it('ends without an error when its signal fires, also before it began', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const stop = new AbortController()
    const reading = all(millrace.reader(stream, { signal: stop.signal }))
    await bed.append(stream, 1)
    stop.abort()
    await reading
    expect(
      await all(millrace.reader(stream, { from: 'earliest', signal: AbortSignal.abort() })),
    ).toEqual([])
  })

  it('ends with Millrace', async () => {
    const millrace = await bed.open()
    const membership = bed.gather(channels.tailMembership)
    const reading = all(millrace.reader(bed.stream()))
    await waitFor(() => membership.length > 0, { describe: 'the reader to be there' })
    await millrace.close()
    expect(await reading).toEqual([])
  })

  it.each([
    ['a text that is none', 'no.cursor'],
    ['one of another incarnation', 'other.5-1'],
    ['one ahead of the stream', 'first.5-2'],
  ])('refuses a cursor: %s', async (_what, cursor) => {
    const millrace = await bed.open()
    const stream = bed.stream()
    await bed.redis.xadd(bed.key(stream), '5-1', 'data', '{}')
    await bed.redis.hset(`${bed.key(stream)}:meta`, {
      incarnation: 'first',
      format: 1,
      partitions: 1,
      tag: stream.name,
    })
    await expect(all(millrace.reader(stream, { from: cursor }))).rejects.toMatchObject({
      code: 'CURSOR_INVALID',
    })
    expect(numbers(await all(millrace.reader(stream, { from: 'first.5-1', live: false })))).toEqual(
      [],
    )
  })

  it('ends with CURSOR_INVALID when the stream was created anew', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    await millrace.publish(
      stream,
      range(3).map((n) => ({ n })),
    )
    const reader = millrace.reader(stream, { from: 'earliest' })
    for (const _ of range(3)) await reader.next()
    // An event of the new stream may still come before the next look at the stream.
    const reading = all(reader)
    reading.catch(() => undefined)
    await bed.redis.del(bed.key(stream))
    await millrace.publish(stream, { n: 0 })
    await expect(reading).rejects.toMatchObject({ code: 'CURSOR_INVALID' })
    await reader.closed
  })

  it('waits for the time it was given, although nothing is there yet', async () => {
    const millrace = await bed.open({ blockMs: 100 })
    const stream = bed.stream()
    await bed.append(stream, 1)
    const reads = bed.gather(channels.tailMembership)
    const reading = take(millrace.reader(stream, { from: { timeMs: 5_000_000_000_000 } }), 1)
    reading.catch(() => undefined)
    await waitFor(() => reads.length > 0, { describe: 'the reader to be there' })
    const checks = async (): Promise<number> =>
      Number(
        /cmdstat_evalsha:calls=(\d+)/.exec(String(await bed.redis.info('commandstats')))?.[1] ?? 0,
      )
    const before = await checks()
    await waitFor(async () => (await checks()) >= before + 2, { describe: 'a few checks' })
    await bed.redis.xadd(bed.key(stream), '5000000000000-0', 'data', JSON.stringify({ n: 7 }))
    expect(numbers(await reading)).toEqual([7])
  })

  it('ends with PAYLOAD_INVALID at a payload that does not satisfy the schema, or leaves it out', async () => {
    const millrace = await bed.open()
    const stream: EventStream<Reading, Reading> = defineStream('strict-readings', {
      schema: z.object({ n: z.number() }),
    })
    await bed.append(stream, 2)
    await bed.redis.xadd(bed.key(stream), '*', 'data', '{"n":"two"}')
    await bed.redis.xadd(bed.key(stream), '*', 'data', 'no json')
    await bed.redis.xadd(bed.key(stream), '*', 'other', 'field')
    await bed.append(stream, 1, { first: 5 })
    const taken: number[] = []
    const strict = async (): Promise<void> => {
      for await (const { data } of millrace.reader(stream, { from: 'earliest', live: false }))
        taken.push(data.n)
    }
    await expect(strict()).rejects.toMatchObject({ code: 'PAYLOAD_INVALID' })
    expect(taken).toEqual([0, 1])
    const lenient = millrace.reader(stream, { from: 'earliest', live: false, onInvalid: 'skip' })
    expect(numbers(await all(lenient))).toEqual([0, 1, 5])
  })

  it('notices that the stream went back, also beside a consumer that is further back', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const key = bed.key(stream)
    const data = JSON.stringify({ n: 1 })
    const consumer = millrace
      .consumer(stream, { name: 'slow', leaseMs: 600, from: 'earliest' })
      .start((_, { signal }) => new Promise((resolve) => signal.addEventListener('abort', resolve)))
    await consumer.ready
    const reader = millrace.reader(stream, { from: 'earliest' })
    const joined = bed.gather(channels.tailMembership)
    const read: string[] = []
    const noticed = (async () => {
      for await (const { id } of reader) read.push(id)
    })().then(
      () => 'the end',
      (error: unknown) => error,
    )
    await waitFor(() => joined.length >= 2, { describe: 'both to join' })
    for (const id of ['1-0', '9-0']) await bed.redis.xadd(key, id, 'data', data)
    await waitFor(() => read.length === 2, { describe: 'the reader to read' })
    await bed.redis.del(key)
    await bed.redis.xadd(key, '5-0', 'data', data)
    expect(await noticed).toMatchObject({ code: 'CURSOR_INVALID' })
  })

  it('goes on after Redis was killed and came back, without missing or repeating an event', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    await bed.append(stream, 500)
    const seen: number[] = []
    const reader = millrace.reader(stream, { from: 'earliest', bufferEvents: 50 })
    const reading = (async () => {
      for await (const { data } of reader) {
        seen.push(data.n)
        if (seen.length % 50 === 0) await new Promise(setImmediate)
      }
    })()
    await waitFor(() => seen.length >= 100, { describe: 'the first events' })
    await bed.server.restart()
    await waitFor(async () => (await bed.redis.ping()) === 'PONG', { describe: 'Redis' })
    await bed.append(stream, 500, { first: 500 })
    await waitFor(() => seen.length >= 1_000, { describe: 'all events' })
    await reader.close()
    await reading
    expect(seen).toEqual(range(1_000))
  })

  it('is told what is wrong with its options, all at once', async () => {
    const millrace = await bed.open()
    expect(() =>
      // @ts-expect-error what a program without types may pass
      millrace.reader(bed.stream(), { from: 'yesterday', bufferEvents: 0, retry: true }),
    ).toThrow(
      expect.objectContaining({
        code: 'OPTIONS_INVALID',
        issues: expect.objectContaining({ length: 3 }),
      }),
    )
  })

  it('is told when the key is no stream', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    await bed.redis.set(bed.key(stream), 'text')
    await expect(all(millrace.reader(stream))).rejects.toMatchObject({ code: 'KEY_TYPE' })
  })
})
