import { describe, expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { channels } from '../../src/diagnostics.ts'
import type { MillraceError } from '../../src/errors.ts'
import { payloadsOf } from '../producer/rig.ts'
import { LAG, numbersFrom, outcomesOf, usePressure } from './pressure-bed.ts'

const bed = usePressure()

const levels = (): string[] => bed.changes.map(({ before, level }) => `${before}>${level}`)
const is = (producer: { pressure: { level: string } }, level: string): Promise<unknown> =>
  waitFor(() => producer.pressure.level === level, { describe: `the level to be ${level}` })

describe('a producer that is told nothing of pressure', () => {
  it('asks Redis for nothing', async () => {
    const producer = bed.producer({})
    await bed.consumed(0)
    for (let i = 0; i < 20; i++) await producer.publishMany(numbersFrom(i * 500, 500))
    expect(await bed.asked()).toBe(0)
    expect(producer.pressure).toEqual({ level: 'normal', causes: [], figures: undefined })
  })
})

describe('a producer that watches', () => {
  it('asks with the batches, at most every 250 ms unless a mark is near', async () => {
    const producer = bed.producer({ pressure: { lagEvents: { high: 1e9 } } })
    const startMs = performance.now()
    for (let i = 0; i < 2_000; i++) await producer.publish({ n: i })
    const elapsedMs = performance.now() - startMs
    expect(await bed.asked()).toBeLessThanOrEqual(1 + Math.ceil(elapsedMs / 250))
    expect(producer.pressure.figures?.length).toBeGreaterThan(0)
    const { length = 0 } = producer.pressure.figures ?? {}
    expect(length).toBeLessThanOrEqual(2_000)
  })

  it('tells each level, its causes and figures, and changes nothing, if that is all it is asked', async () => {
    const producer = bed.producer({ pressure: LAG })
    await bed.consumed(0)
    const calls = Array.from({ length: 8 }, (_, i) =>
      producer.publishMany(numbersFrom(i * 500, 500)),
    )
    expect((await Promise.all(calls)).flat()).toHaveLength(4_000)
    await is(producer, 'critical')
    expect(producer.pressure).toMatchObject({
      level: 'critical',
      causes: ['lagEvents'],
      figures: { slowest: 'board', isLagKnown: true },
    })
    expect(bed.changes.at(-1)).toMatchObject({ stream: 'pressed', level: 'critical' })
    await producer.publish({ n: 4_000 })
    expect(await bed.length()).toBe(4_001)
  })

  it('notices that it is over, also when it publishes nothing any more', async () => {
    const producer = bed.producer({ pressure: LAG })
    await bed.consumed(0)
    await producer.publishMany(numbersFrom(0, 2_000))
    await is(producer, 'high')
    await bed.consumed(1_500)
    await waitFor(() => producer.pressure.figures?.lagEvents === 500, {
      describe: 'the news of what was consumed',
    })
    expect(producer.pressure.level).toBe('high')
    await bed.consumed()
    await is(producer, 'normal')
    expect(levels()).toEqual(['normal>high', 'high>normal'])
    const asked = await bed.asked()
    // Whoever is not pressed and publishes nothing asks nothing.
    await producer.close()
    expect(await bed.asked()).toBe(asked)
  })

  it('publishes on without the rights to ask, and says so', async () => {
    const failures: Error[] = []
    const off = channels.loopFailed.subscribe(({ loop, error }) => {
      if (loop === 'pressure') failures.push(error)
    })
    await bed.producer({}).publish({ n: 0 })
    await bed.redis.call('acl', 'setuser', 'blind', 'on', '>secret', '~*', '+@all', '-xinfo|groups')
    const url = bed.server.url.replace('redis://', 'redis://blind:secret@')
    const producer = bed.producer({ onPressure: 'reject', pressure: LAG }, url)
    await waitFor(
      async () => {
        await producer.publish({ n: 1 })
        return failures.length > 0
      },
      { describe: 'the news of the right that is missing' },
    )
    off()
    expect(failures[0]).toMatchObject({ code: 'PERMISSION_DENIED', stream: 'pressed' })
    expect(producer.pressure.level).toBe('normal')
  })
})

describe('a producer that rejects', () => {
  it('refuses at once and says when to try again, until the slowest has caught up', async () => {
    const producer = bed.producer({ onPressure: 'reject', pressure: LAG })
    await bed.consumed(0)
    await producer.publishMany(numbersFrom(0, 1_500))
    await is(producer, 'high')
    const failed: number[] = []
    const off = channels.publishFailed.subscribe(({ events }) => failed.push(events))
    const refused = await producer.publish({ n: -1 }).catch((error: unknown) => error)
    await producer.publishMany(numbersFrom(-10, 3)).catch(() => undefined)
    off()
    expect(refused).toMatchObject({ code: 'PRESSURE', retryable: true, stream: 'pressed' })
    expect((refused as MillraceError).retryAfterMs).toBeGreaterThanOrEqual(50)
    expect(failed).toEqual([1, 3])
    expect(await bed.length()).toBe(1_500)
    await bed.consumed()
    await is(producer, 'normal')
    await producer.publish({ n: 1_500 })
    expect(await payloadsOf(bed.redis, bed.key)).toEqual(numbersFrom(0, 1_501))
  })

  it('stores all or nothing of an array', async () => {
    const producer = bed.producer({ onPressure: 'reject', pressure: LAG })
    await bed.consumed(0)
    const calls = Array.from({ length: 40 }, (_, i) =>
      producer.publishMany(numbersFrom(i * 100, 100)),
    )
    const outcomes = await outcomesOf(calls)
    expect(outcomes).toEqual(Array(40).fill('undefined'))
    await is(producer, 'critical')
    expect(await outcomesOf([producer.publishMany(numbersFrom(0, 9_000))])).toEqual(['PRESSURE'])
    expect(await bed.length()).toBe(4_000)
  })
})

describe('a producer that is delayed', () => {
  it('fails with PRESSURE at the deadline, and with ABORTED before, and stores nothing of that', async () => {
    const producer = bed.producer({ onPressure: 'delay', pressure: LAG })
    await bed.consumed(0)
    await producer.publishMany(numbersFrom(0, 4_000))
    await is(producer, 'critical')
    const abort = new AbortController()
    const calls = [
      producer.publish({ n: -1 }, { deadlineMs: 100 }),
      producer.publishMany(numbersFrom(-9, 5), { deadlineMs: 100 }),
      producer.publish({ n: -2 }, { signal: abort.signal }),
    ]
    abort.abort()
    expect(await outcomesOf(calls)).toEqual(['PRESSURE', 'PRESSURE', 'ABORTED'])
    const patient = producer.publish({ n: 4_000 }, { deadlineMs: 20_000 })
    await bed.consumed()
    expect((await patient).stored).toBe('stream')
    expect(await payloadsOf(bed.redis, bed.key)).toEqual(numbersFrom(0, 4_001))
  })

  it('is closed within the deadline of close, whatever waits', async () => {
    const producer = bed.producer({ onPressure: 'delay', pressure: LAG })
    await bed.consumed(0)
    await producer.publishMany(numbersFrom(0, 4_000))
    await is(producer, 'critical')
    const waiting = outcomesOf([
      producer.publish({ n: 1 }),
      producer.publishMany(numbersFrom(0, 2)),
    ])
    await producer.close({ deadlineMs: 50 })
    expect(await waiting).toEqual(['CLOSED', 'CLOSED'])
    expect(await bed.length()).toBe(4_000)
  })
})
