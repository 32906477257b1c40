import { type RedisServer, startRedis } from '@millrace/testkit'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Core } from '../../src/core.ts'
import { TRIM_EVERY } from '../../src/producer/append-script.ts'
import { defineStream } from '../../src/stream/define-stream.ts'
import type { StreamKeys } from '../../src/stream/keys.ts'
import { callAppend, callCloseEpoch, openRig, payloadsOf } from './rig.ts'

const DAY_SECONDS = 86_400

/** So many events that the script looks whether some may go. */
function numbered(n: number): string[] {
  return Array.from({ length: TRIM_EVERY }, () => String(n))
}

describe('the append script', () => {
  let redis: RedisServer
  let rig: { core: Core } & Disposable
  let keys: StreamKeys

  beforeAll(async () => {
    redis = await startRedis()
    rig = openRig(redis.url)
    keys = rig.core.keysOf(defineStream('flights'))
  })
  beforeEach(async () => {
    await redis.client().flushall()
  })
  afterAll(async () => {
    rig[Symbol.dispose]()
    await redis[Symbol.asyncDispose]()
  })

  const append = (batch: Parameters<typeof callAppend>[2]): Promise<string> =>
    callAppend(rig.core, keys, batch)
  const serverTime = async (): Promise<number> => Number((await redis.client().time())[0])

  it('gives a batch consecutive ids in one millisecond', async () => {
    const first = await append({ first: 1, data: ['1', '2', '3'] })
    const ids = (await redis.client().xrange(keys.stream, '-', '+')).map(([id]) => id)
    const [ms, sequence] = first.split('-')
    expect(ids).toEqual([0, 1, 2].map((i) => `${ms}-${Number(sequence) + i}`))
  })

  it('appends nothing when events before the batch are missing, and says what it has', async () => {
    await append({ first: 1, data: ['1', '2'] })
    expect(await append({ first: 4, data: ['4'] })).toBe('GAP 2')
    expect(await redis.client().xlen(keys.stream)).toBe(2)
  })

  it('answers a batch that was sent again like the first time, duplicates included', async () => {
    const original = await append({ record: 'p:0', first: 1, data: ['0'], idempotencyKeys: ['a'] })
    const first = await append({
      first: 1,
      data: ['0', '1', '2'],
      idempotencyKeys: ['a', 'b', 'a'],
    })
    expect(first).toMatch(new RegExp(`^\\d+-\\d+ 0:${original} 2:${original}$`))
    await append({ first: 4, data: ['3'] })
    expect(
      await append({ first: 1, data: ['0', '1', '2'], idempotencyKeys: ['a', 'b', 'a'] }),
    ).toBe(first)
    expect(await payloadsOf(redis.client(), keys.stream)).toEqual([0, 1, 3])
  })

  it('answers the last 16 batches again while the producer has not seen their answers', async () => {
    const answers: string[] = []
    for (let i = 1; i <= 16; i++) answers.push(await append({ first: i, data: [String(i)] }))
    const again: string[] = []
    for (let i = 1; i <= 16; i++) again.push(await append({ first: i, data: [String(i)] }))
    expect(again).toEqual(answers)
    expect(await redis.client().xlen(keys.stream)).toBe(16)
  })

  it('forgets answers that the producer has seen, and says so if asked', async () => {
    await append({ first: 1, data: ['1'] })
    await append({ first: 2, answered: 1, data: ['2'] })
    expect(await redis.client().hget(keys.producers, 'p:e')).toMatch(/^open 2 \d+\n2 1 \d+-\d+\n$/)
    expect(await append({ first: 1, data: ['1'] })).toBe('FORGOTTEN')
  })

  it('refuses a late copy of a batch whose epoch was closed', async () => {
    await append({ first: 1, data: ['1'] })
    const [last, lines] = await callCloseEpoch(rig.core, keys)
    expect(last).toBe('1')
    expect(lines).toMatch(/^1 1 \d+-\d+\n$/)
    expect(await append({ first: 2, data: ['2'] })).toBe('CLOSED')
    expect(await append({ first: 1, data: ['1'] })).toBe('CLOSED')
    expect(await callCloseEpoch(rig.core, keys)).toEqual([last, lines])
    expect(await redis.client().xlen(keys.stream)).toBe(1)
  })

  it('refuses a late copy of an epoch that was closed before its first batch arrived', async () => {
    expect(await callCloseEpoch(rig.core, keys)).toEqual(['0', ''])
    expect(await append({ first: 1, data: ['1'] })).toBe('CLOSED')
    expect(await redis.client().exists(keys.stream)).toBe(0)
  })

  it('stores nothing of a batch when one of its events cannot be stored', async () => {
    // The ids of this millisecond run out after two more events.
    await redis.client().xadd(keys.stream, '99999999999999-18446744073709551613', 'data', '0')
    const batch = { first: 1, data: ['1', '2', '3', '4'], idempotencyKeys: ['a', 'b', 'c', 'd'] }
    await expect(append(batch)).rejects.toThrow(/^ERR [A-Z][a-z]/)
    expect(await payloadsOf(redis.client(), keys.stream)).toEqual([0])
    expect(await redis.client().exists(keys.producers)).toBe(0)
    // The same batch later is complete, and none of its events is taken for a duplicate.
    expect(await append(batch)).toBe('100000000000000-0')
    expect(await payloadsOf(redis.client(), keys.stream)).toEqual([0, 1, 2, 3, 4])
  })

  it('is refused up front when the server is out of memory, and leaves nothing behind', async () => {
    const admin = redis.client()
    await append({ first: 1, data: ['1'] })
    const before = await admin.hgetall(keys.producers)
    await admin.config('SET', 'maxmemory', '1')
    try {
      await expect(
        append({ first: 2, data: ['2', '3'], idempotencyKeys: ['a', 'b'] }),
      ).rejects.toThrow(/^OOM/)
      expect(await callCloseEpoch(rig.core, keys, 'p:other')).toEqual(['0', ''])
    } finally {
      await admin.config('SET', 'maxmemory', '0')
    }
    await admin.hdel(keys.producers, 'p:other')
    expect(await admin.hgetall(keys.producers)).toEqual(before)
    expect(await payloadsOf(admin, keys.stream)).toEqual([1])
    expect(await admin.exists(...keys.idempotency)).toBe(0)
  })

  it('stores a batch whole or not at all, wherever in it the memory limit is reached', async () => {
    const admin = redis.client()
    const data = Array.from({ length: 500 }, (_, i) => JSON.stringify(`${i}`.padEnd(400, 'x')))
    let stored = 0
    let refused = 0
    for (let marginBytes = 0; marginBytes <= 1_500_000; marginBytes += 50_000) {
      await admin.config('SET', 'maxmemory', '0')
      await admin.flushall()
      const used = Number(/used_memory:(\d+)/.exec(await admin.info('memory'))?.[1])
      await admin.config('SET', 'maxmemory', String(used + marginBytes))
      const outcome = await append({ first: 1, data }).then(
        () => 'stored' as const,
        (error: unknown) => String(error),
      )
      const expected = outcome === 'stored' ? 500 : 0
      expect(outcome).toMatch(/^stored$|OOM/)
      if (outcome === 'stored') stored++
      else refused++
      expect(await admin.xlen(keys.stream)).toBe(expected)
    }
    await admin.config('SET', 'maxmemory', '0')
    expect(stored).toBeGreaterThan(0)
    expect(refused).toBeGreaterThan(0)
  })

  it('stores nothing when the user lacks a right that only its last step needs', async () => {
    const admin = redis.client()
    for (const right of ['hset', 'xrange', 'xtrim', 'hrandfield']) {
      await admin.flushall()
      await admin.hset(keys.meta, 'incarnation', 'i', 'floor', '2-0')
      await admin.xadd(keys.stream, '1-0', 'data', '0')
      await admin.call(
        'acl',
        'setuser',
        'limited',
        'reset',
        'on',
        '>secret',
        '~*',
        '+@all',
        `-${right}`,
      )
      using limited = openRig(redis.url.replace('redis://', 'redis://limited:secret@'))
      const batch = { first: 1, maxAgeMs: 1_000, data: numbered(1) }
      await expect(callAppend(limited.core, keys, batch)).rejects.toThrow(
        /The user executing the script|ACL failure/,
      )
      expect(await payloadsOf(admin, keys.stream)).toEqual([0])
      expect(await admin.exists(keys.producers)).toBe(0)
    }
  })

  it('renews the incarnation when the stream is gone, and keeps it otherwise', async () => {
    const admin = redis.client()
    await append({ first: 1, data: ['1'] })
    expect(await admin.hgetall(keys.meta)).toEqual({
      incarnation: 'candidate',
      format: '1',
      partitions: '1',
      tag: keys.tag,
    })
    await admin.hset(keys.meta, 'incarnation', 'earlier', 'floor', '5-0')
    await append({ first: 2, data: ['2'] })
    expect(await admin.hget(keys.meta, 'incarnation')).toBe('earlier')
    await admin.del(keys.stream)
    await append({ first: 3, data: ['3'] })
    expect(await admin.hget(keys.meta, 'incarnation')).toBe('candidate')
    expect(await admin.hget(keys.meta, 'floor')).toBeNull()
    expect(await payloadsOf(admin, keys.stream)).toEqual([3])
  })

  it('keeps idempotency keys of yesterday, and not those of the day before', async () => {
    const admin = redis.client()
    const day = Math.floor((await serverTime()) / DAY_SECONDS)
    const [ofToday, ofYesterday] = [keys.idempotency[day % 2], keys.idempotency[1 - (day % 2)]]
    if (ofToday === undefined || ofYesterday === undefined) throw new Error('there are two hashes')
    await admin.hset(ofYesterday, '', day - 1, 'yesterday', '7-0')
    await admin.hset(ofToday, '', day - 2, 'long-ago', '6-0')
    const answer = await append({
      first: 1,
      data: ['1', '2'],
      idempotencyKeys: ['yesterday', 'long-ago'],
    })
    expect(answer).toMatch(/^\d+-\d+ 0:7-0$/)
    expect(await payloadsOf(admin, keys.stream)).toEqual([2])
    expect(await admin.hget(ofToday, '')).toBe(String(day))
    expect(await admin.pttl(ofToday)).toBeGreaterThan(47 * 3_600_000)
  })

  it('removes records of producers that were not heard of for seven days', async () => {
    const admin = redis.client()
    const now = await serverTime()
    await admin.hset(
      keys.producers,
      'old:a',
      `open 5 ${now - 8 * DAY_SECONDS}\n`,
      'old:b',
      `closed 5 ${now - 8 * DAY_SECONDS}\n`,
    )
    await admin.hset(
      keys.producers,
      'fresh:a',
      `open 5 ${now - 6 * DAY_SECONDS}\n`,
      'foreign',
      'something else',
    )
    await append({ first: 1, data: ['1'] })
    expect((await admin.hkeys(keys.producers)).toSorted()).toEqual(['foreign', 'fresh:a', 'p:e'])
  })

  it('trims nothing without a floor, whatever the policy says', async () => {
    for (let i = 1; i <= 5; i++) {
      await append({
        first: (i - 1) * 300 + 1,
        maxAgeMs: 1,
        maxLength: 1,
        data: Array.from({ length: 300 }, () => '0'),
      })
    }
    expect(await redis.client().xlen(keys.stream)).toBe(1_500)
  })

  it('trims by age only below the floor', async () => {
    const admin = redis.client()
    for (let i = 1; i <= 1_000; i++) await admin.xadd(keys.stream, `${i}-0`, 'data', '0')
    await append({ first: 1, data: ['1'] })
    await admin.hset(keys.meta, 'floor', '500-0')
    await append({ first: 2, maxAgeMs: 3_600_000, data: numbered(2) })
    const [oldest] = await admin.xrange(keys.stream, '-', '+', 'COUNT', 1)
    const oldestMs = Number.parseInt(oldest?.[0] ?? '0', 10)
    // Whole nodes only are removed, so a few below the floor may stay; none from it on may go.
    expect(oldestMs).toBeGreaterThan(300)
    expect(oldestMs).toBeLessThanOrEqual(500)
  })

  it('trims by age only what is too old, although the floor is higher', async () => {
    const admin = redis.client()
    const nowMs = (await serverTime()) * 1_000
    for (let i = 1; i <= 1_000; i++)
      await admin.xadd(keys.stream, `${nowMs - 7_200_000 + i * 7_000}-0`, 'data', '0')
    const lastId = String((await admin.xrevrange(keys.stream, '+', '-', 'COUNT', 1))[0]?.[0])
    await append({ first: 1, data: ['1'] })
    await admin.hset(keys.meta, 'floor', lastId)
    await append({ first: 2, maxAgeMs: 3_600_000, data: numbered(2) })
    const [oldest] = await admin.xrange(keys.stream, '-', '+', 'COUNT', 1)
    const oldestMs = Number.parseInt(oldest?.[0] ?? '0', 10)
    expect(oldestMs).toBeGreaterThan(nowMs - 7_200_000 + 100_000)
    expect(oldestMs).toBeLessThanOrEqual(nowMs - 3_600_000 + 7_000)
  })

  it('trims by length down to the cap, and never past the floor', async () => {
    const admin = redis.client()
    for (let i = 1; i <= 2_000; i++) await admin.xadd(keys.stream, `${i}-0`, 'data', '0')
    await append({ first: 1, data: ['1'] })
    await admin.hset(keys.meta, 'floor', '1900-0')
    await append({ first: 2, maxLength: 1_000, data: numbered(2) })
    const length = await admin.xlen(keys.stream)
    expect(length).toBeGreaterThanOrEqual(1_000)
    expect(length).toBeLessThan(1_100)
    await admin.hset(keys.meta, 'floor', '1200-0')
    await append({ first: 2 + TRIM_EVERY, maxLength: 10, data: numbered(3) })
    const [oldest] = await admin.xrange(keys.stream, '-', '+', 'COUNT', 1)
    expect(Number.parseInt(oldest?.[0] ?? '0', 10)).toBeLessThanOrEqual(1_200)
  })

  it('does not go through the stream when nothing of it is old', async () => {
    const admin = redis.client()
    await append({ first: 1, data: ['1'] })
    await admin.hset(keys.meta, 'floor', '1-0')
    await admin.config('RESETSTAT')
    await append({ first: 2, maxAgeMs: 3_600_000, maxLength: 10, data: numbered(2) })
    // XREVRANGE that ends before the first entry would.
    expect(String(await admin.info('commandstats'))).not.toContain('cmdstat_xrevrange')
  })

  it('remembers the greatest id that it trimmed', async () => {
    const admin = redis.client()
    for (let i = 1; i <= 1_000; i++) await admin.xadd(keys.stream, `${i}-0`, 'data', '0')
    await append({ first: 1, data: ['1'] })
    await admin.hset(keys.meta, 'floor', '500-0')
    await append({ first: 2, maxAgeMs: 3_600_000, data: numbered(2) })
    const [oldest] = await admin.xrange(keys.stream, '-', '+', 'COUNT', 1)
    const trimmed = await admin.hget(keys.meta, 'trimmed')
    expect(Number.parseInt(trimmed ?? '0', 10)).toBe(Number.parseInt(oldest?.[0] ?? '0', 10) - 1)
  })
})
