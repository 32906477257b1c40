import { describe, expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { payloadsOf } from '../producer/rig.ts'
import { type AnyProducer, LAG, numbersFrom, outcomesOf, usePressure } from './pressure-bed.ts'

const bed = usePressure()

const is = (producer: AnyProducer, level: string): Promise<unknown> =>
  waitFor(() => producer.pressure.level === level, { describe: `the level to be ${level}` })

function spooling(directory: string, afterMs = 5_000): AnyProducer {
  return bed.producer({
    producerId: 'tower',
    whenUnavailable: 'spool',
    spool: { directory, afterMs },
    onPressure: 'spool',
    pressure: LAG,
  })
}

describe('a producer that spools under pressure', () => {
  it('answers from disk while the slowest is behind, and sends it all in order afterwards', async () => {
    const { path } = bed.spoolDirectory()
    const producer = spooling(path)
    await bed.consumed(0)
    await producer.publishMany(numbersFrom(0, 1_200))
    await is(producer, 'high')
    // Answered at once: each of the ten would take five seconds if only the silence of Redis led to the disk.
    const startMs = performance.now()
    for (let i = 0; i < 10; i++) {
      const calls = numbersFrom(1_200 + i * 200, 200).map((data) => producer.publish(data))
      expect(await outcomesOf(calls)).toEqual(Array(200).fill('spool'))
    }
    expect(performance.now() - startMs).toBeLessThan(45_000)
    expect(await bed.length()).toBe(1_200)
    await bed.consumed()
    await waitFor(
      async () => {
        await bed.consumed()
        return (await bed.length()) === 3_200
      },
      { describe: 'the spool to be sent' },
    )
    let n = 3_200
    // What was on disk has come at once, which may have been pressure once more.
    await waitFor(
      async () => {
        await bed.consumed()
        return (await producer.publish({ n: n++ })).stored === 'stream'
      },
      { describe: 'events to go to the stream again' },
    )
    expect(await payloadsOf(bed.redis, bed.key)).toEqual(numbersFrom(0, n))
  })

  it('leaves what is on disk to the next process when it is closed meanwhile', async () => {
    const directory = bed.spoolDirectory()
    const { path } = directory
    const producer = spooling(path, 50)
    await bed.consumed(0)
    await producer.publishMany(numbersFrom(0, 1_200))
    await is(producer, 'high')
    expect(await outcomesOf([producer.publishMany(numbersFrom(1_200, 300))])).toEqual(['undefined'])
    await producer.close({ deadlineMs: 2_000 })
    expect(await bed.length()).toBe(1_200)
    expect(directory.files()).toHaveLength(1)
    await bed.consumed()
    const next = spooling(path, 50)
    await next.publish({ n: 1_500 })
    await waitFor(async () => (await bed.length()) === 1_501, { describe: 'all to be sent' })
    expect(await payloadsOf(bed.redis, bed.key)).toEqual(numbersFrom(0, 1_501))
  })
})
