import { expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { MillraceError } from '../../src/index.ts'
import { range, readings } from './bed.ts'
import { describeConformance } from './describe-conformance.ts'

describeConformance('Publishing', (bed) => {
  it('stores events once, in the order of the calls, with ids that rise', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const single = range(300).map((n) => millrace.publish(stream, { n }))
    const many = millrace.publish(stream, readings(700, 300))
    const results = [...(await Promise.all(single)), ...(await many)]
    const stored = await bed.stored(stream)
    expect(stored.map(({ n }) => n)).toEqual(range(1_000))
    expect(results.map(({ id }) => id)).toEqual(stored.map(({ id }) => id))
  })

  it('stores an event with a known idempotency key once, whoever publishes it again', async () => {
    const stream = bed.stream()
    const first = await (await bed.open()).publish(stream, { n: 1 }, { idempotencyKey: 'order-1' })
    const again = await (await bed.open()).publish(stream, { n: 1 }, { idempotencyKey: 'order-1' })
    expect(first).toMatchObject({ duplicate: false, stored: 'stream' })
    expect(again).toEqual({ ...first, duplicate: true })
    expect(await bed.stored(stream)).toHaveLength(1)
  })

  it('stores everything once and in order while connections are cut and scripts are forgotten', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const key = bed.key(stream)
    const published: Promise<unknown>[] = []
    for (const round of range(20)) {
      for (const n of range(100)) published.push(millrace.publish(stream, { n: round * 100 + n }))
      await new Promise(setImmediate)
      if (round % 4 === 3) await bed.cutConnections()
      else await (await bed.topology.masterOf(key)).client().script('FLUSH')
    }
    await Promise.all(published)
    expect((await bed.stored(stream)).map(({ n }) => n)).toEqual(range(2_000))
  })

  it('spreads streams over all that there is, each with all its keys in one place', async () => {
    const millrace = await bed.open()
    const streams = range(12).map(() => bed.stream())
    await Promise.all(
      streams.map((stream) => millrace.publish(stream, { n: 7 }, { idempotencyKey: 'a' })),
    )
    const masters = new Set<string>()
    for (const stream of streams) {
      masters.add((await bed.topology.masterOf(bed.key(stream))).url)
      expect(await bed.stored(stream)).toMatchObject([{ n: 7 }])
      expect(
        await (await bed.redis(stream)).exists(
          bed.key(stream, ':meta'),
          bed.key(stream, ':producers'),
        ),
      ).toBe(2)
    }
    expect(masters.size).toBe(bed.features.slots ? 3 : 1)
    expect(millrace.connections['data']).toBe(masters.size)
  })

  it('refuses what it must refuse with a code, before anything is stored, and goes on', async () => {
    const millrace = await bed.open()
    const stream = bed.stream({ limits: { maxPayloadBytes: 100 } })
    const foreign = bed.stream()
    await (await bed.redis(foreign)).set(bed.key(foreign), 'a string')
    const long = { n: 1, key: 'x'.repeat(200) }
    await expect(millrace.publish(stream, long)).rejects.toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
    })
    await expect(millrace.publish(stream, [{ n: 1 }, long])).rejects.toBeInstanceOf(MillraceError)
    await expect(millrace.publish(foreign, { n: 1 })).rejects.toMatchObject({ code: 'KEY_TYPE' })
    await millrace.publish(stream, { n: 2 })
    expect(await bed.stored(stream)).toMatchObject([{ n: 2 }])
  })

  it('tells OUT_OF_MEMORY when the server is full, and goes on when it no longer is', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    await millrace.publish(stream, { n: 1 })
    const redis = await bed.redis(stream)
    await redis.config('SET', 'maxmemory', '1')
    bed.onClose(() => redis.config('SET', 'maxmemory', '0'))
    await expect(millrace.publish(stream, { n: 2 })).rejects.toMatchObject({
      code: 'OUT_OF_MEMORY',
    })
    await redis.config('SET', 'maxmemory', '0')
    await waitFor(() => millrace.publish(stream, { n: 3 }), { describe: 'publishing to go on' })
    expect((await bed.stored(stream)).map(({ n }) => n)).toEqual([1, 3])
  })
})
