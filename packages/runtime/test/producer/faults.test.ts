import {
  type FaultProxy,
  type RedisServer,
  startFaultProxy,
  startRedis,
  waitFor,
} from '@millrace/testkit'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { channels } from '../../src/diagnostics.ts'
import type { PublishResult } from '../../src/producer/options.ts'
import { Producer } from '../../src/producer/producer.ts'
import { defineStream } from '../../src/stream/define-stream.ts'
import { callAppend, entriesOf, numbers, openRig, payloadsOf } from './rig.ts'

const stream = defineStream<{ n: number }>('flights')
const KEY = 'mr:{flights}flights'

const isAppend = ([name]: string[]): boolean => /^eval(sha)?$/i.test(name ?? '')
const isFirstAppend = (words: string[]): boolean => isAppend(words) && words.includes(KEY)

/** Runs `work` again and again until the other promise has settled; its failures count. */
async function meanwhile<T>(promise: Promise<T>, work: () => Promise<unknown>): Promise<T> {
  const settled = new AbortController()
  const done = promise.finally(() => {
    settled.abort()
  })
  done.catch(() => undefined)
  while (!settled.signal.aborted) await work()
  return await done
}

describe('a producer, when things go wrong', () => {
  let redis: RedisServer
  let proxy: FaultProxy

  beforeEach(async () => {
    redis = await startRedis({ persistence: true })
    proxy = await startFaultProxy(redis)
  })
  afterEach(async () => {
    await proxy[Symbol.asyncDispose]()
    await redis[Symbol.asyncDispose]()
  })

  async function expectAllOnceInOrder(
    count: number,
    results: readonly PublishResult[],
  ): Promise<void> {
    const entries = await entriesOf(redis.client(), KEY)
    expect(entries.length).toBe(count)
    // Compared one by one: a diff of half a million lines helps nobody.
    const wrong = entries.findIndex(({ fields }, i) => fields['data'] !== `{"n":${i}}`)
    expect(wrong, `entry ${wrong} is ${entries[wrong]?.fields['data']}`).toBe(-1)
    expect(results.findIndex(({ id }, i) => id !== entries[i]?.id)).toBe(-1)
  }

  it('publishes 500,000 events once and in order while scripts are flushed every 5 ms', async () => {
    using rig = openRig(redis.url, 60_000)
    await using producer = new Producer(rig.core, stream)
    const admin = redis.client()
    let stalls = 0
    const off = channels.publishStalled.subscribe(() => stalls++)
    try {
      const results = await meanwhile(producer.publishMany(numbers(500_000)), async () => {
        await admin.script('FLUSH')
        await new Promise((resolve) => setTimeout(resolve, 5))
      })
      await expectAllOnceInOrder(500_000, results)
    } finally {
      off()
    }
    // The window did meet what it is made for.
    expect(stalls).toBeGreaterThan(10)
  })

  it('stores an event once whose answer was lost', async () => {
    using rig = openRig(proxy.url)
    await using producer = new Producer(rig.core, stream)
    await producer.publish({ n: 0 })
    const dropped = proxy.dropNextReply(isFirstAppend)
    const results = producer.publishMany(numbers(5_001).slice(1))
    await dropped
    const rest = await results
    const [first] = await entriesOf(redis.client(), KEY)
    await expectAllOnceInOrder(5_001, [
      { id: first?.id ?? '', duplicate: false, stored: 'stream' },
      ...rest,
    ])
  })

  it('stores everything once and in order while every seventh answer is lost', async () => {
    using rig = openRig(proxy.url, 60_000)
    await using producer = new Producer(rig.core, stream)
    proxy.dropEveryNthReply(7)
    const results: PublishResult[] = []
    for (let n = 0; n < 40_000; n += 4_000) {
      results.push(...(await producer.publishMany(numbers(40_000).slice(n, n + 4_000))))
    }
    proxy.dropEveryNthReply(0)
    await expectAllOnceInOrder(40_000, results)
  })

  it('answers a duplicate like the first time when the answer was lost', async () => {
    using rig = openRig(proxy.url)
    await using producer = new Producer(rig.core, stream)
    const original = await producer.publish({ n: 0 }, { idempotencyKey: 'a' })
    const dropped = proxy.dropNextReply(isFirstAppend)
    const results = producer.publishMany([{ n: 9 }, { n: 1 }], { idempotencyKeys: ['a', 'b'] })
    await dropped
    expect((await results).map(({ duplicate }) => duplicate)).toEqual([true, false])
    expect((await results)[0]?.id).toBe(original.id)
    expect(await payloadsOf(redis.client(), KEY)).toEqual(numbers(2))
  })

  it('survives resets of its connection at any moment', async () => {
    using rig = openRig(proxy.url, 60_000)
    await using producer = new Producer(rig.core, stream)
    let resets = 0
    let stored = 0
    const results = await meanwhile(producer.publishMany(numbers(100_000)), async () => {
      // Not before something has been appended since the last one: else nobody gets anywhere.
      await new Promise((resolve) => setImmediate(resolve))
      const length = await redis.client().xlen(KEY)
      if (length === stored) return
      stored = length
      proxy.resetAll()
      resets++
    })
    expect(resets).toBeGreaterThan(3)
    await expectAllOnceInOrder(100_000, results)
  })

  it('brings to an end whatever it sends while its connection is ending', async () => {
    using rig = openRig(redis.url, 60_000)
    await using producer = new Producer(rig.core, stream)
    const results: PublishResult[] = []
    for (let n = 0; n < 48; n += 4) {
      results.push(await producer.publish({ n }))
      await redis.kill('SIGKILL')
      // The client does not know yet; what it sends now fails in one of several ways.
      const published = [
        producer.publish({ n: n + 1 }),
        producer.publishMany([{ n: n + 2 }, { n: n + 3 }]),
      ]
      await redis.restart()
      results.push(...(await Promise.all(published)).flat())
    }
    await expectAllOnceInOrder(48, results)
  })

  it('goes on where it was when the server is killed and started again', async () => {
    await redis[Symbol.asyncDispose]()
    redis = await startRedis({ persistence: true, args: ['--appendfsync', 'always'] })
    using rig = openRig(redis.url, 60_000)
    await using producer = new Producer(rig.core, stream)
    await producer.publish({ n: 0 })
    const all = numbers(60_000)
    const published = producer.publishMany(all.slice(1))
    for (let kills = 0; kills < 3; kills++) {
      const before = await redis.client().xlen(KEY)
      await waitFor(async () => (await redis.client().xlen(KEY)) > Math.min(before + 512, 59_999), {
        describe: 'more events in the stream',
        everyMs: 1,
      })
      await redis.kill('SIGKILL')
      await redis.restart()
    }
    const results = await published
    const [first] = await entriesOf(redis.client(), KEY)
    await expectAllOnceInOrder(60_000, [
      { id: first?.id ?? '', duplicate: false, stored: 'stream' },
      ...results,
    ])
  })

  it('goes on under a new epoch when the server forgot what it had confirmed', async () => {
    using rig = openRig(redis.url)
    await using producer = new Producer(rig.core, stream, { producerId: 'p' })
    const admin = redis.client()
    await producer.publishMany(numbers(3))
    const [oldRecord] = await admin.hkeys(`${KEY}:producers`)
    if (oldRecord === undefined) throw new Error('there is a record')
    // What a failover to a replica that lagged behind looks like.
    await admin.hset(`${KEY}:producers`, oldRecord, 'open 1 1700000000\n')
    await producer.publish({ n: 3 })
    const records = await admin.hgetall(`${KEY}:producers`)
    expect(records[oldRecord]).toMatch(/^closed 1 /)
    expect(Object.keys(records)).toHaveLength(2)
    expect(await payloadsOf(admin, KEY)).toEqual(numbers(4))
    // A copy that was under way for long comes too late.
    const late = await callAppend(rig.core, rig.core.keysOf(stream), {
      record: oldRecord,
      first: 2,
      data: ['{"n":1}'],
    })
    expect(late).toBe('CLOSED')
    expect(await payloadsOf(admin, KEY)).toEqual(numbers(4))
  })

  it('refuses when the server is out of memory, stores nothing of it, and goes on afterwards', async () => {
    using rig = openRig(redis.url)
    await using producer = new Producer(rig.core, stream)
    const admin = redis.client()
    await producer.publish({ n: 0 })
    await admin.config('SET', 'maxmemory', '1')
    const refused = await Promise.allSettled([
      producer.publish({ n: 100 }),
      producer.publishMany(numbers(2_000)),
      producer.publish({ n: 100 }),
    ])
    expect(
      refused.map((outcome) =>
        outcome.status === 'rejected' ? (outcome.reason as { code: string }).code : 'stored',
      ),
    ).toEqual(['OUT_OF_MEMORY', 'OUT_OF_MEMORY', 'OUT_OF_MEMORY'])
    const records = await admin.hlen(`${KEY}:producers`)
    for (let i = 0; i < 20; i++) await producer.publish({ n: 100 }).catch(() => undefined)
    await admin.config('SET', 'maxmemory', '0')
    await producer.publish({ n: 1 })
    expect(await payloadsOf(admin, KEY)).toEqual(numbers(2))
    // Refusals leave nothing behind in the books either.
    expect(await admin.hlen(`${KEY}:producers`)).toBe(records)
  })

  it('finds out what became of an event whose answer was lost just before memory ran out', async () => {
    using rig = openRig(proxy.url)
    await using producer = new Producer(rig.core, stream)
    await producer.publish({ n: 0 })
    const dropped = proxy.dropNextReply(isFirstAppend)
    const published = producer.publish({ n: 1 })
    // In the moment of the reset nothing can be published again yet: the limit is there first.
    const limited = dropped.then(() => redis.client().config('SET', 'maxmemory', '1'))
    await limited
    const outcome = await Promise.allSettled([published])
    await redis.client().config('SET', 'maxmemory', '0')
    expect(outcome[0].status).toBe('fulfilled')
    await producer.publish({ n: 2 })
    expect(await payloadsOf(redis.client(), KEY)).toEqual(numbers(3))
  })

  it('rejects an event whose deadline passes while its outcome is unknown, and stores it at most once', async () => {
    using rig = openRig(proxy.url)
    await using producer = new Producer(rig.core, stream)
    await producer.publish({ n: 0 })
    proxy.blackhole('toClient')
    const given = producer.publish({ n: 1 }, { deadlineMs: 100 })
    await expect(given).rejects.toMatchObject({ code: 'PUBLISH_UNKNOWN' })
    proxy.resetAll()
    await proxy.heal()
    await producer.publish({ n: 2 })
    expect(await payloadsOf(redis.client(), KEY)).toEqual(numbers(3))
  })

  it('never stores an event that was given up before it reached the server', async () => {
    using rig = openRig(proxy.url)
    await using producer = new Producer(rig.core, stream)
    await producer.publish({ n: 0 })
    proxy.blackhole('toServer')
    const abort = new AbortController()
    const outcomes = Promise.allSettled([
      producer.publish({ n: 100 }, { deadlineMs: 100 }),
      producer.publish({ n: 100 }, { signal: abort.signal }),
      producer.publish({ n: 1 }),
    ])
    setTimeout(() => {
      abort.abort()
      // What was held back is gone with the connection.
      proxy.resetAll()
      void proxy.heal()
    }, 150)
    expect(
      (await outcomes).map((o) =>
        o.status === 'rejected' ? (o.reason as { code: string }).code : 'stored',
      ),
    ).toEqual(['PUBLISH_UNKNOWN', 'PUBLISH_UNKNOWN', 'stored'])
    expect(await payloadsOf(redis.client(), KEY)).toEqual(numbers(2))
    const records = Object.values(await redis.client().hgetall(`${KEY}:producers`))
    expect(records.filter((record) => record.startsWith('closed '))).toHaveLength(1)
  })
})
