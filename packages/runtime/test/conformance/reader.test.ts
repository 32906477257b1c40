import { expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { idTimeMs, type Event, type Reader, type ReaderOptions } from '../../src/index.ts'
import { type Reading, range, readings } from './bed.ts'
import { describeConformance } from './describe-conformance.ts'

async function take(reader: Reader<Reading>, count: number): Promise<Event<Reading>[]> {
  const events: Event<Reading>[] = []
  for await (const event of reader) {
    events.push(event)
    if (events.length === count) break
  }
  return events
}

const numbers = (events: readonly Event<Reading>[]): number[] => events.map(({ data }) => data.n)

describeConformance('A reader', (bed) => {
  it('reads from the beginning, from a cursor, an id or a time, and to the end', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const early = await millrace.publish(stream, readings(5))
    await waitFor(
      async () =>
        Number((await (await bed.redis(stream)).time())[0]) * 1_000 > 0 &&
        Date.now() > idTimeMs(early[4]?.id ?? '') + 1,
      { describe: 'another millisecond' },
    )
    const late = await millrace.publish(stream, readings(700, 5))
    const read = (options: ReaderOptions) =>
      take(millrace.reader(stream, { live: false, ...options }), Infinity)
    const all = await read({ from: 'earliest' })
    expect(numbers(all)).toEqual(range(705))
    expect(all.map(({ id }) => id)).toEqual([...early, ...late].map(({ id }) => id))
    expect(numbers(await read({ from: all[99]?.cursor ?? '' }))).toEqual(range(605, 100))
    expect(numbers(await read({ from: { id: all[199]?.id ?? '' } }))).toEqual(range(505, 200))
    expect(numbers(await read({ from: { timeMs: idTimeMs(early[4]?.id ?? '') + 1 } }))).toEqual(
      range(700, 5),
    )
    expect(await read({ from: 'latest' })).toEqual([])
  })

  it('goes on with what is published, and a cursor serves in another process', async () => {
    const stream = bed.stream()
    const first = await bed.open()
    const second = await bed.open()
    await first.publish(stream, readings(3))
    const live = take(first.reader(stream, { from: 'earliest' }), 10)
    await first.publish(stream, readings(7, 3))
    const events = await live
    expect(numbers(events)).toEqual(range(10))
    const rest = take(second.reader(stream, { from: events[4]?.cursor ?? '' }), 8)
    await first.publish(stream, readings(3, 10))
    expect(numbers(await rest)).toEqual(range(8, 5))
  })

  it('keeps its place when connections are cut, and repeats nothing', async () => {
    const stream = bed.stream()
    const millrace = await bed.open()
    const seen: number[] = []
    const reader = millrace.reader(stream, { from: 'earliest' })
    const reading = (async () => {
      for await (const { data } of reader) {
        seen.push(data.n)
        if (data.n === 399) return
      }
    })()
    for (const round of range(4)) {
      await millrace.publish(stream, readings(100, round * 100))
      await bed.cutConnections()
    }
    await reading
    expect(seen).toEqual(range(400))
  })

  it('refuses a cursor of a stream that was created anew, or ahead of it', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    await millrace.publish(stream, readings(2))
    const [, last] = await take(millrace.reader(stream, { from: 'earliest' }), 2)
    const cursor = last?.cursor ?? ''
    const ahead = cursor.replace(/\d+-\d+$/, '9999999999999-0')
    await expect(millrace.reader(stream, { from: ahead }).next()).rejects.toMatchObject({
      code: 'CURSOR_INVALID',
    })
    const redis = await bed.redis(stream)
    await redis.del(bed.key(stream), bed.key(stream, ':meta'), bed.key(stream, ':producers'))
    const other = await bed.open()
    await other.publish(stream, readings(2))
    await expect(other.reader(stream, { from: cursor }).next()).rejects.toMatchObject({
      code: 'CURSOR_INVALID',
    })
  })
})
