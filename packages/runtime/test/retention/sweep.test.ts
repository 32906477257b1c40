import { describe, expect, it } from 'vitest'
import { TRIM_EVERY } from '../../src/producer/append-script.ts'
import { callAppend } from '../producer/rig.ts'
import { idsFrom, INCARNATION, useSweeps } from './sweep-bed.ts'

const bed = useSweeps()
const DAY_MS = 86_400_000

describe('A sweep', () => {
  it('sets the floor to what everybody has processed, and publishing trims below it', async () => {
    const nowMs = await bed.nowMs()
    await bed.add(idsFrom(nowMs - 2 * DAY_MS, nowMs - 2 * DAY_MS + 999))
    await bed.consumer('fast', `${nowMs - 2 * DAY_MS + 899}-0`)
    await bed.consumer('slow', `${nowMs - 2 * DAY_MS + 599}-0`)
    await bed.sweep({ unread: 'keep', maxAgeMs: 3 * DAY_MS })
    expect(await bed.meta('floor')).toBe(`${nowMs - 2 * DAY_MS + 599}-0`)
    expect(await bed.redis.xlen(bed.keys.stream)).toBe(1_000)
    const data = Array.from({ length: TRIM_EVERY }, () => '1')
    await callAppend(bed.core, bed.keys, { first: 1, maxAgeMs: DAY_MS, data })
    // Whole nodes, and one entry more.
    expect((await bed.ids())[0]).toBe(`${nowMs - 2 * DAY_MS + 501}-0`)
    expect(await bed.meta('trimmed')).toBe(`${nowMs - 2 * DAY_MS + 500}-0`)
  })

  it('keeps of 24 hours what is younger, whether anybody has read it or not', async () => {
    // One event each 30 seconds for two days.
    const nowMs = await bed.nowMs()
    const ids = Array.from(
      { length: 5_760 },
      (_, i) => `${nowMs - 2 * DAY_MS + i * 30_000 + 1_000}-0`,
    )
    await bed.add(ids)
    await bed.consumer('away', '0-0')
    const { expired } = await bed.sweep({})
    const left = await bed.ids()
    expect(Number.parseInt(left[0] ?? '0', 10)).toBeGreaterThanOrEqual(nowMs - DAY_MS)
    expect(left.length).toBeGreaterThan(2_878)
    expect(expired.get('away')).toBe(5_760 - left.length)
    expect(await bed.state('away')).toMatchObject({
      expired: String(5_760 - left.length),
      gap: `0-0,${ids[5_760 - left.length - 1]},${5_760 - left.length},${INCARNATION}`,
    })
  })

  it('holds a stream at its length, also when nobody is there to read it', async () => {
    await bed.add(idsFrom(1, 2_000))
    const { removed, pastFloor } = await bed.sweep({ maxAgeMs: 1e15, maxLength: 777 })
    expect([removed, pastFloor]).toEqual([1_223, 0])
    expect(await bed.redis.xlen(bed.keys.stream)).toBe(777)
    expect(await bed.meta('trimmed')).toBe('1223-0')
  })

  it('empties a stream whose events are all too old, and leaves it there', async () => {
    await bed.add(idsFrom(1, 300))
    await bed.consumer('done', '300-0')
    expect((await bed.sweep({ unread: 'keep' })).removed).toBe(300)
    expect(await bed.ids()).toEqual([])
    expect(await bed.redis.exists(bed.keys.stream)).toBe(1)
  })

  it('keeps everything that somebody has not processed, if it is told so, up to the hard cap', async () => {
    await bed.add(idsFrom(1, 1_000))
    await bed.consumer('slow', '100-0')
    const keep = { unread: 'keep', maxAgeMs: 1, maxLength: 1 } as const
    expect(await bed.sweep(keep)).toMatchObject({ removed: 100, pastFloor: 0 })
    expect(await bed.ids()).toEqual(idsFrom(101, 1_000))
    expect((await bed.state('slow'))['expired']).toBeUndefined()
    const { expired } = await bed.sweep({ ...keep, hardMaxLength: 600 })
    expect(expired).toEqual(new Map([['slow', 300]]))
    expect(await bed.ids()).toEqual(idsFrom(401, 1_000))
  })

  it('does a bounded part at a time, and counts the same', async () => {
    await bed.add(idsFrom(1, 3_000))
    await bed.consumer('c', '10-0', { ranges: '100-0>199-0,500-0>500-0', dead: '700-0' })
    await bed.group('g', '0-0')
    await bed.read('g', 250)
    const { parts, expired } = await bed.sweep(
      { maxLength: 1, maxAgeMs: 1e15 },
      { mostRemoved: 300, mostPending: 64 },
    )
    expect(parts.length).toBeGreaterThan(10)
    expect(Math.max(...parts.map(({ removed }) => removed))).toBeLessThanOrEqual(300)
    expect(expired).toEqual(
      new Map([
        ['c', 2_999 - 10 - 102],
        ['g', 2_999],
      ]),
    )
    expect((await bed.redis.xpending(bed.keys.stream, 'g'))[0]).toBe(0)
  })

  it('happens once in a period, whoever comes first', async () => {
    await bed.add(idsFrom(1, 10))
    const answers = await Promise.all(Array.from({ length: 8 }, () => bed.part({})))
    expect(answers.map(({ outcome }) => outcome).toSorted()).toEqual([
      ...Array(7).fill('later'),
      'swept',
    ])
    const later = answers.find((answer) => answer.outcome === 'later')
    expect(later).toMatchObject({ inMs: expect.closeTo(10_000, -3) })
    await bed.redis.hset(bed.keys.meta, 'swept', (await bed.nowMs()) + 1e9)
    expect((await bed.part({})).outcome).toBe('swept')
  })

  it('goes by the retention of whoever publishes, and else by what is stored', async () => {
    await bed.add(idsFrom(1, 100))
    await bed.sweep({ maxAgeMs: 1e15 }, { decides: true })
    await bed.sweep({ maxAgeMs: 1 }, { decides: false })
    expect(await bed.redis.xlen(bed.keys.stream)).toBe(100)
    await bed.redis.hdel(bed.keys.meta, 'retention')
    await bed.sweep({ maxAgeMs: 1 }, { decides: false })
    expect(await bed.redis.xlen(bed.keys.stream)).toBe(0)
    expect(await bed.meta('retention')).toBeNull()
  })

  it('does nothing to a stream that is not there, or not of Millrace', async () => {
    expect((await bed.part({})).outcome).toBe('none')
    await bed.redis.del(bed.keys.meta)
    await bed.add(idsFrom(1, 10))
    expect((await bed.part({ maxAgeMs: 1 })).outcome).toBe('none')
    expect(await bed.redis.exists(bed.keys.meta)).toBe(0)
  })

  it('protects what a consumer has not processed although somebody has destroyed its image', async () => {
    await bed.add(idsFrom(1, 100))
    await bed.consumer('imageless', '40-0')
    await bed.redis.xgroup('DESTROY', bed.keys.stream, 'imageless')
    await bed.sweep({ unread: 'keep', maxAgeMs: 1 })
    expect(await bed.ids()).toEqual(idsFrom(41, 100))
  })

  it('takes a position of an earlier incarnation for none', async () => {
    await bed.add(idsFrom(1, 100))
    await bed.consumer('late', '90-0', { incarnation: 'another' })
    await bed.sweep({ unread: 'keep', maxAgeMs: 1 })
    expect(await bed.ids()).toHaveLength(100)
    expect(await bed.meta('floor')).toBe('0-0')
  })

  it('protects a group of others from the next sweep on', async () => {
    await bed.add(idsFrom(1, 1_000))
    await bed.consumer('done', '1000-0')
    await bed.sweep({ unread: 'keep', maxAgeMs: 1e15 })
    expect(await bed.meta('floor')).toBe('1000-0')
    await bed.redis.xgroup('CREATE', bed.keys.stream, 'theirs', '500-0')
    await bed.sweep({ unread: 'keep', maxAgeMs: 1 })
    expect(await bed.meta('floor')).toBe('500-0')
    expect(await bed.ids()).toEqual(idsFrom(501, 1_000))
    await bed.read('theirs', 100)
    await bed.sweep({ unread: 'keep', maxAgeMs: 1 })
    expect(await bed.meta('floor')).toBe('501-0')
    await bed.redis.xgroup('DESTROY', bed.keys.stream, 'theirs')
    await bed.sweep({ unread: 'keep', maxAgeMs: 1 })
    expect(await bed.ids()).toEqual([])
    expect(await bed.meta('foreign:theirs')).toBeNull()
  })

  it('loses nothing while positions are rewound and groups made at the same time', async () => {
    await bed.add(idsFrom(1, 2_000))
    await bed.consumer('rewound', '2000-0')
    // Whatever makes or rewinds a position does so in one step with the floor, as these do.
    for (let round = 0; round < 50; round++) {
      const to = `${100 + round * 10}-0`
      await Promise.all([
        bed.sweep({ unread: 'keep', maxLength: 1_900, maxAgeMs: 1e15 }),
        bed.redis
          .multi()
          .hset(bed.keys.state('rewound'), 'position', to)
          .xgroup('CREATE', bed.keys.stream, `g${round}`, to)
          .hset(bed.keys.meta, 'floor', to)
          .exec(),
        callAppend(bed.core, bed.keys, {
          first: round * 64 + 1,
          maxLength: 1_900,
          data: Array(64).fill('1'),
        }),
      ])
      const ids = new Set(await bed.ids())
      expect(idsFrom(101 + round * 10, 2_000).filter((id) => !ids.has(id))).toEqual([])
      await bed.redis.xgroup('DESTROY', bed.keys.stream, `g${round}`)
      await bed.redis.hset(bed.keys.state('rewound'), 'position', `${100 + round * 10}-0`)
    }
  })

  it('does not go through a stream that is behind an abandoned position', async () => {
    await bed.add(idsFrom(1_000, 3_000))
    await bed.consumer('abandoned', '5-0', { ranges: '10-0>20-0' })
    await bed.redis.config('RESETSTAT')
    await bed.sweep({ maxAgeMs: 1e15 })
    // XREVRANGE that ends before the first entry would.
    expect(String(await bed.redis.info('commandstats'))).not.toContain('cmdstat_xrevrange')
    await bed.sweep({ maxAgeMs: 1e15, maxLength: 2_000 })
    expect(await bed.state('abandoned')).toMatchObject({ expired: '1' })
    const calls = /cmdstat_xrevrange:calls=(\d+)/.exec(
      String(await bed.redis.info('commandstats')),
    )?.[1]
    expect(Number(calls)).toBe(1)
  })

  it('works off a stream while Redis is out of memory', async () => {
    await bed.add(idsFrom(1, 5_000))
    await bed.redis.config('SET', 'maxmemory', '1')
    try {
      expect((await bed.sweep({ maxLength: 10 })).removed).toBeGreaterThan(4_900)
    } finally {
      await bed.redis.config('SET', 'maxmemory', '0')
    }
  })
})
