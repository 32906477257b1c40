import type { StandardSchemaV1 } from '@standard-schema/spec'
import { type RedisServer, startRedis } from '@millrace/testkit'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { Core } from '../../src/core.ts'
import { channels, type Published } from '../../src/diagnostics.ts'
import { Producer } from '../../src/producer/producer.ts'
import { defineStream } from '../../src/stream/define-stream.ts'
import { compareIds } from '../../src/stream/stream-id.ts'
import { entriesOf, numbers, openRig, payloadsOf } from './rig.ts'

describe('publish', () => {
  let redis: RedisServer
  let rig: { core: Core } & Disposable

  beforeAll(async () => {
    redis = await startRedis()
    rig = openRig(redis.url)
  })
  beforeEach(async () => {
    await redis.client().flushall()
  })
  afterAll(async () => {
    rig[Symbol.dispose]()
    await redis[Symbol.asyncDispose]()
  })

  it('stores the input as given, with its key, under the id that it answers', async () => {
    const schema = z.object({ flight: z.string().trim(), delay: z.number().default(0) })
    const flights = defineStream('as-given', { schema, key: (input) => input.flight })
    await using producer = new Producer(rig.core, flights)
    const result = await producer.publish({ flight: ' AA1 ' })
    expect(result).toEqual({
      id: expect.stringMatching(/^\d+-\d+$/) as string,
      duplicate: false,
      stored: 'stream',
    })
    expect(await entriesOf(redis.client(), 'mr:{as-given}as-given')).toEqual([
      { id: result.id, fields: { data: '{"flight":" AA1 "}', key: ' AA1 ' } },
    ])
  })

  it('stores type, time and headers beside the payload, and only where they are given', async () => {
    const stream = defineStream<number>('extras')
    await using producer = new Producer(rig.core, stream)
    await Promise.all([
      producer.publish(1),
      producer.publish(2, { type: 'departed', timeMs: 5, headers: { trace: 'abc', Trace: 'ä' } }),
      producer.publish(3, { headers: {} }),
      producer.publish(4, { type: '' }),
    ])
    expect(
      (await entriesOf(redis.client(), 'mr:{extras}extras')).map(({ fields }) => fields),
    ).toEqual([
      { data: '1' },
      { data: '2', type: 'departed', time: '5', 'h:trace': 'abc', 'h:Trace': 'ä' },
      { data: '3' },
      { data: '4', type: '' },
    ])
  })

  it('appends what is published in one tick as one batch, also by those that one answer resumed', async () => {
    const stream = defineStream<{ n: number }>('gathers')
    await using producer = new Producer(rig.core, stream)
    const batches: Published[] = []
    const off = channels.published.subscribe((message) => {
      if (message.stream === 'gathers') batches.push(message)
    })
    try {
      const twice = async (n: number): Promise<void> => {
        await producer.publish({ n })
        await Promise.resolve()
        await producer.publish({ n: n + 100 })
      }
      await Promise.all(Array.from({ length: 100 }, (_, n) => twice(n)))
    } finally {
      off()
    }
    expect(batches.map(({ events }) => events)).toEqual([100, 100])
    expect(await payloadsOf(redis.client(), 'mr:{gathers}gathers')).toEqual(numbers(200))
    expect(batches[0]).toMatchObject({ duplicates: 0 })
    expect(batches[0]?.durationMs).toBeGreaterThan(0)
  })

  it('keeps the order of calls and answers arrays in their order, over many batches', async () => {
    const stream = defineStream<{ n: number }>('ordered')
    await using producer = new Producer(rig.core, stream)
    const all = numbers(20_000)
    const results = (
      await Promise.all([
        producer.publishMany(all.slice(0, 9_000)),
        producer.publish(all[9_000] ?? { n: -1 }).then((result) => [result]),
        producer.publishMany(all.slice(9_001)),
      ])
    ).flat()
    const entries = await entriesOf(redis.client(), 'mr:{ordered}ordered')
    expect(entries.map(({ fields }) => JSON.parse(fields['data'] ?? '') as unknown)).toEqual(all)
    expect(results.map(({ id }) => id)).toEqual(entries.map(({ id }) => id))
    expect(
      entries.every(({ id }, i) => i === 0 || compareIds(entries[i - 1]?.id ?? '', id) < 0),
    ).toBe(true)
  })

  it('never has more in flight than it may', async () => {
    const stream = defineStream<{ n: number | string }>('bounded')
    await using producer = new Producer(rig.core, stream, {
      maxInFlightEvents: 10,
      maxInFlightBytes: 60,
    })
    const sizes: Published[] = []
    const off = channels.published.subscribe((message) => {
      if (message.stream === 'bounded') sizes.push(message)
    })
    try {
      await producer.publishMany([...numbers(100), { n: 'x'.repeat(80) }, ...numbers(3)])
    } finally {
      off()
    }
    expect(Math.max(...sizes.map(({ events }) => events))).toBeLessThanOrEqual(10)
    // An event above the whole bound goes as well, but alone.
    const large = sizes.filter(({ bytes }) => bytes > 60)
    expect(large).toHaveLength(1)
    expect(large.every(({ events }) => events === 1)).toBe(true)
    expect(await redis.client().xlen('mr:{bounded}bounded')).toBe(104)
  })

  it('sends an event that is larger than a batch alone, and keeps order around it', async () => {
    const stream = defineStream<string>('large', { limits: { maxPayloadBytes: 8_000_000 } })
    await using producer = new Producer(rig.core, stream)
    const payloads = [
      'a',
      'b'.repeat(3_000_000),
      'c',
      'd'.repeat(900_000),
      'e'.repeat(900_000),
      'f',
    ]
    await producer.publishMany(payloads)
    expect(await payloadsOf(redis.client(), 'mr:{large}large')).toEqual(payloads)
  })

  it('stores what a binary codec encodes byte by byte', async () => {
    const stream = defineStream<Uint8Array>('binary', {
      codec: {
        name: 'raw',
        binary: true,
        encode: (value) => value as Uint8Array,
        decode: (stored) => stored,
      },
    })
    await using producer = new Producer(rig.core, stream)
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i)
    await producer.publish(bytes)
    const [entry] = await redis.client().xrangeBuffer('mr:{binary}binary', '-', '+')
    expect(entry?.[1]?.[1]).toEqual(Buffer.from(bytes))
  })

  it('stores an event once for each idempotency key, and answers with the first one’s id', async () => {
    const stream = defineStream<{ n: number }>('idempotent')
    await using producer = new Producer(rig.core, stream)
    await using other = new Producer(rig.core, stream)
    const first = await producer.publish({ n: 0 }, { idempotencyKey: 'a' })
    expect(await other.publish({ n: 1 }, { idempotencyKey: 'a' })).toEqual({
      ...first,
      duplicate: true,
    })
    const results = await producer.publishMany([{ n: 2 }, { n: 3 }, { n: 4 }, { n: 5 }], {
      idempotencyKeys: ['b', 'a', 'b', 'c'],
    })
    expect(results.map(({ duplicate }) => duplicate)).toEqual([false, true, true, false])
    expect(results[1]?.id).toBe(first.id)
    expect(results[2]?.id).toBe(results[0]?.id)
    const entries = await entriesOf(redis.client(), 'mr:{idempotent}idempotent')
    expect(entries.map(({ id }) => id)).toEqual([first.id, results[0]?.id, results[3]?.id])
  })

  it('goes on when somebody deletes the stream in between', async () => {
    const stream = defineStream<{ n: number }>('deleted')
    await using producer = new Producer(rig.core, stream)
    const admin = redis.client()
    await producer.publish({ n: 1 })
    const before = await admin.hget('mr:{deleted}deleted:meta', 'incarnation')
    await admin.del('mr:{deleted}deleted')
    await producer.publish({ n: 2 })
    expect(await payloadsOf(admin, 'mr:{deleted}deleted')).toEqual([{ n: 2 }])
    expect(await admin.hget('mr:{deleted}deleted:meta', 'incarnation')).not.toBe(before)
    await admin.flushall()
    await producer.publishMany([{ n: 3 }, { n: 4 }])
    expect(await payloadsOf(admin, 'mr:{deleted}deleted')).toEqual([{ n: 3 }, { n: 4 }])
  })

  it('lets two producers of one id publish side by side, each in its own order', async () => {
    const stream = defineStream<{ by: string; n: number }>('side-by-side')
    await using a = new Producer(rig.core, stream, { producerId: 'shared' })
    await using b = new Producer(rig.core, stream, { producerId: 'shared' })
    const publish = async (producer: typeof a, by: string): Promise<void> => {
      for (let n = 0; n < 2_000; n += 20) {
        await producer.publishMany(Array.from({ length: 20 }, (_, i) => ({ by, n: n + i })))
      }
    }
    await Promise.all([publish(a, 'a'), publish(b, 'b')])
    const stored = (await payloadsOf(redis.client(), 'mr:{side-by-side}side-by-side')) as {
      by: string
      n: number
    }[]
    for (const by of ['a', 'b']) {
      expect(stored.filter((event) => event.by === by).map(({ n }) => n)).toEqual(
        numbers(2_000).map(({ n }) => n),
      )
    }
    expect(await redis.client().hkeys('mr:{side-by-side}side-by-side:producers')).toHaveLength(2)
  })

  it('keeps the order of calls when the schema answers late, and refuses only the bad one', async () => {
    const gates = [1, 2, 3, 4].map(() => Promise.withResolvers<void>())
    const schema: StandardSchemaV1<number, number> = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: async (value) => {
          await gates[Number(value) - 1]?.promise
          return value === 2 ? { issues: [{ message: 'two is bad' }] } : { value: Number(value) }
        },
      },
    }
    const stream = defineStream('late', { schema })
    await using producer = new Producer(rig.core, stream)
    const published = [1, 2, 3].map((n) => producer.publish(n))
    const many = producer.publishMany([4, 4])
    for (const gate of gates.toReversed()) gate.resolve()
    const outcomes = await Promise.allSettled(published)
    await many
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(outcomes[1]).toMatchObject({
      reason: { code: 'PAYLOAD_INVALID', issues: ['two is bad'] },
    })
    expect(await payloadsOf(redis.client(), 'mr:{late}late')).toEqual([1, 3, 4, 4])
  })
})
