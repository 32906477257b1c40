import { expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { channels, idTimeMs, type StartPosition } from '../../src/index.ts'
import { range, readings } from './bed.ts'
import { describeConformance } from './describe-conformance.ts'

describeConformance('A checkpoint', (bed) => {
  it('is where the next holder of the name resumes', async () => {
    const stream = bed.stream()
    const seen: number[] = []
    const first = await bed.open()
    const results = await first.publish(stream, readings(100))
    const consumer = first.consumer(stream, { name: 'board' })
    consumer.start(({ data }) => void seen.push(data.n))
    await waitFor(() => seen.length === 100, { describe: 'the first events' })
    await first.close()
    expect(await bed.state(stream, 'board')).toMatchObject({
      kind: 'consumer',
      position: results.at(-1)?.id,
      released: '1',
    })
    const second = await bed.open()
    await second.publish(stream, readings(50, 100))
    second.consumer(stream, { name: 'board' }).start(({ data }) => void seen.push(data.n))
    await waitFor(() => seen.length === 150, { describe: 'the later events' })
    expect(seen).toEqual(range(150))
  })

  it('is stored while the consumer works, within a third of a lease or after so many events', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const stored = bed.gather(channels.checkpointed)
    await millrace.publish(stream, readings(95))
    // In a process of its own, as it were: the beats of the other one would carry its position, too.
    ;(await bed.open())
      .consumer(stream, { name: 'often', leaseMs: 60_000, checkpointEvery: 10 })
      .start(() => undefined)
    millrace.consumer(stream, { name: 'soon', leaseMs: 600 }).start(() => undefined)
    const last = (await bed.stored(stream)).at(-1)?.id
    await waitFor(() => stored.some(({ name, position }) => name === 'soon' && position === last), {
      describe: 'the beat to carry the position',
    })
    await waitFor(() => stored.some(({ name }) => name === 'often'), {
      describe: 'the count to store the position',
    })
    expect(stored.filter(({ name }) => name === 'often').every(({ events }) => events >= 10)).toBe(
      true,
    )
  })

  it('shows in the native group of the same name, with the true lag', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const consumer = millrace.consumer(stream, { name: 'board', leaseMs: 600 })
    const results = await millrace.publish(stream, readings(20))
    let handled = 0
    consumer.start(() => {
      if (++handled === 8) consumer.pause()
    })
    await waitFor(() => handled === 8, { describe: 'some events' })
    await waitFor(
      async () => (await bed.image(stream, 'board'))['last-delivered-id'] === results[7]?.id,
      { describe: 'the image to follow' },
    )
    expect(await bed.image(stream, 'board')).toMatchObject({
      'entries-read': 8,
      lag: 12,
      pending: 0,
      consumers: 0,
    })
  })

  it('begins where the owner says, once', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const before = await millrace.publish(stream, readings(10))
    const third = before[2]?.id ?? ''
    const lastMs = idTimeMs(before.at(-1)?.id ?? '')
    const serverTimeMs = async (): Promise<number> => {
      const [seconds, microseconds] = (await (await bed.redis(stream)).time()).map(Number)
      return (seconds ?? 0) * 1_000 + Math.floor((microseconds ?? 0) / 1_000)
    }
    const starts: Record<string, StartPosition> = {
      earliest: 'earliest',
      latest: 'latest',
      id: { id: third },
      time: { timeMs: lastMs + 1 },
    }
    const seen: Record<string, number[]> = {}
    for (const [name, from] of Object.entries(starts)) {
      seen[name] = []
      const consumer = millrace.consumer(stream, { name, from })
      await consumer.start(({ data }) => void seen[name]?.push(data.n)).ready
    }
    // A later millisecond, so that the start by time is certain to lie between.
    await waitFor(async () => (await serverTimeMs()) > lastMs, { describe: 'the next millisecond' })
    await millrace.publish(stream, readings(2, 10))
    await waitFor(() => Object.values(seen).every((list) => list.at(-1) === 11), {
      describe: 'the end of the stream',
    })
    expect(seen).toEqual({
      earliest: range(12),
      latest: [10, 11],
      id: range(9, 3),
      time: [10, 11],
    })
  })

  it('starts anew, and says so, when the stream was deleted and created again', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const changes = bed.gather(channels.positionChanged)
    const seen: number[] = []
    millrace
      .consumer(stream, { name: 'board', leaseMs: 600 })
      .start(({ data }) => void seen.push(data.n))
    await millrace.publish(stream, readings(10))
    await waitFor(() => seen.length === 10, { describe: 'the first events' })
    const redis = await bed.redis(stream)
    await redis.del(bed.key(stream), bed.key(stream, ':meta'), bed.key(stream, ':producers'))
    const results = await (await bed.open()).publish(stream, readings(5, 100))
    await waitFor(() => changes.length > 0, { describe: 'it to notice' })
    expect(changes).toMatchObject([{ name: 'board', change: 'recreated' }])
    await waitFor(
      async () => (await bed.state(stream, 'board'))['position'] === results.at(-1)?.id,
      {
        describe: 'the position in the new stream',
      },
    )
    // What was read before anybody noticed comes again: the new stream is read from its beginning.
    expect([...new Set(seen)]).toEqual([...range(10), ...range(5, 100)])
    expect(seen.slice(-5)).toEqual(range(5, 100))
  })
})
