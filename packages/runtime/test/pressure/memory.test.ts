import { describe, expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { resolvePressureOptions } from '../../src/pressure/options.ts'
import { PressureWatch } from '../../src/pressure/watch.ts'
import { openRig, payloadsOf } from '../producer/rig.ts'
import { type AnyProducer, numbersFrom, outcomesOf, usePressure } from './pressure-bed.ts'

const bed = usePressure()

const is = (producer: AnyProducer, level: string): Promise<unknown> =>
  waitFor(() => producer.pressure.level === level, { describe: `the level to be ${level}` })

/** Redis refuses whatever needs memory, until it is healed. */
const runOut = (): Promise<unknown> => bed.redis.config('SET', 'maxmemory', '1')
const heal = (): Promise<unknown> => bed.redis.config('SET', 'maxmemory', '1gb')

describe('when Redis has run out of memory, a producer', () => {
  it('that is told nothing fails as ever, is critical, and notices by itself when it is over', async () => {
    const producer = bed.producer({})
    await producer.publish({ n: 0 })
    await runOut()
    expect(
      await outcomesOf([producer.publish({ n: -1 }), producer.publishMany(numbersFrom(-9, 3))]),
    ).toEqual(['OUT_OF_MEMORY', 'OUT_OF_MEMORY'])
    expect(producer.pressure).toMatchObject({ level: 'critical', causes: ['outOfMemory'] })
    await heal()
    await is(producer, 'normal')
    await producer.publish({ n: 1 })
    expect(await payloadsOf(bed.redis, bed.key)).toEqual(numbersFrom(0, 2))
  })

  it('that is told nothing is not pressed any more once an event is stored', async () => {
    const producer = bed.producer({})
    await producer.publish({ n: 0 })
    await runOut()
    await outcomesOf([producer.publish({ n: -1 })])
    await heal()
    await producer.publish({ n: 1 })
    expect(producer.pressure.level).toBe('normal')
  })

  it('that rejects says when to try again, refuses at once from then on, and recovers by itself', async () => {
    const producer = bed.producer({ onPressure: 'reject' })
    await producer.publish({ n: 0 })
    await runOut()
    const refused = await producer.publish({ n: -1 }).catch((error: unknown) => error)
    expect(refused).toMatchObject({
      code: 'PRESSURE',
      retryAfterMs: 1_000,
      cause: { code: 'OUT_OF_MEMORY' },
    })
    await bed.redis.config('RESETSTAT')
    expect(await outcomesOf([producer.publish({ n: -2 })])).toEqual(['PRESSURE'])
    const { errorstat_OOM: refusals } = Object.fromEntries(
      (await bed.redis.info('errorstats')).split('\r\n').map((line) => line.split(':')),
    ) as Record<string, string>
    expect(refusals).toBeUndefined()
    await heal()
    await is(producer, 'normal')
    await producer.publish({ n: 1 })
    expect(await payloadsOf(bed.redis, bed.key)).toEqual(numbersFrom(0, 2))
  })

  it('that is delayed waits, keeps the order, and goes on by itself', async () => {
    const producer = bed.producer({ onPressure: 'delay' })
    await producer.publish({ n: 0 })
    await runOut()
    const calls = numbersFrom(1, 50).map((data) => producer.publish(data))
    await is(producer, 'critical')
    calls.push(...numbersFrom(51, 50).map((data) => producer.publish(data)))
    await heal()
    expect(await outcomesOf(calls)).toEqual(Array(100).fill('stream'))
    await is(producer, 'normal')
    expect(await payloadsOf(bed.redis, bed.key)).toEqual(numbersFrom(0, 101))
  })

  it('that is delayed fails with PRESSURE at the deadline, and stores nothing of that', async () => {
    const producer = bed.producer({ onPressure: 'delay' })
    await producer.publish({ n: 0 })
    await runOut()
    const sent = producer.publish({ n: -1 }, { deadlineMs: 1_000 })
    await is(producer, 'critical')
    const held = producer.publish({ n: -2 }, { deadlineMs: 1_000 })
    expect(await outcomesOf([sent, held])).toEqual(['PRESSURE', 'PRESSURE'])
    await heal()
    await producer.publish({ n: 1 })
    expect(await payloadsOf(bed.redis, bed.key)).toEqual(numbersFrom(0, 2))
  })

  it('that spools keeps everything on disk, and sends it in order when it is over', async () => {
    const directory = bed.spoolDirectory()
    const producer = bed.producer({
      producerId: 'tower',
      whenUnavailable: 'spool',
      spool: { directory: directory.path, afterMs: 5_000 },
      onPressure: 'spool',
    })
    await producer.publish({ n: 0 })
    await runOut()
    const calls = numbersFrom(1, 100).map((data) => producer.publish(data))
    expect(await outcomesOf(calls)).toEqual(Array(100).fill('spool'))
    expect(producer.pressure.level).toBe('critical')
    await heal()
    await waitFor(async () => (await bed.length()) === 101, { describe: 'the spool to be sent' })
    await is(producer, 'normal')
    expect((await producer.publish({ n: 101 })).stored).toBe('stream')
    expect(await payloadsOf(bed.redis, bed.key)).toEqual(numbersFrom(0, 102))
  })
})

describe('figures that were asked for before Redis refused an event', () => {
  it('do not call off what the refusal has told', async () => {
    using rig = openRig(bed.server.url)
    const session = await rig.core.connections.session('data', 'pressed')
    const options = resolvePressureOptions('reject', undefined)
    const watch = new PressureWatch(rig.core, bed.stream, options, () => undefined)
    watch.sent(session, 1)
    watch.ranOutOfMemory()
    await waitFor(async () => (await bed.asked()) > 0, { describe: 'the figures to be read' })
    // Behind the answer on the same connection.
    await session.client.call('ping')
    await new Promise((resolve) => setImmediate(resolve))
    expect(watch.pressure.figures).toBeUndefined()
    expect(watch.pressure.level).toBe('critical')
    await waitFor(() => watch.pressure.level === 'normal', { describe: 'the next look' })
    watch.stop()
  })
})

describe('a producer that watches memory', () => {
  it('is pressed by its marks long before memory has run out', async () => {
    const producer = bed.producer({ onPressure: 'reject' })
    await bed.redis.set('filler', Buffer.alloc(20_000_000))
    await producer.publish({ n: 0 })
    await waitFor(
      async () => {
        // Measured each time, because Redis gives back the memory of large commands only after a while.
        const [, used = '0'] = /used_memory:(\d+)/.exec(await bed.redis.info('memory')) ?? []
        await bed.redis.config('SET', 'maxmemory', String(Math.round(Number(used) / 0.84)))
        await producer.publish({ n: 1 }).catch(() => undefined)
        return producer.pressure.level !== 'normal'
      },
      { describe: 'memory to be noticed' },
    )
    expect(producer.pressure.causes).toEqual(['memory'])
    expect(producer.pressure.figures?.memory?.usedBytes).toBeGreaterThan(0)
    await heal()
    await is(producer, 'normal')
  })
})
