import { expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { isMillraceError } from '../../src/index.ts'
import { range } from './bed.ts'
import { describeConformance } from './describe-conformance.ts'

describeConformance('Many streams', (bed) => {
  it('share one tail where one blocking read can serve them, and have one for each tag in a cluster', async () => {
    const millrace = await bed.open({ maxTails: 6 })
    const seen: string[] = []
    const streams = range(6).map(() => bed.stream())
    for (const stream of streams) {
      millrace.consumer(stream, { name: 'board' }).start((event) => void seen.push(event.stream))
    }
    const results = streams.map((stream) => millrace.publish(stream, { n: 1 }))
    await Promise.all(results)
    await waitFor(() => seen.length === 6, { describe: 'an event of each' })
    const tails = bed.features.slots ? 6 : 1
    await waitFor(() => millrace.connections['tail'] === tails, { describe: 'the tails' })
    await millrace.publish(streams[3] ?? bed.stream(), { n: 2 })
    await waitFor(() => seen.length === 7, { describe: 'a live event' })
    expect(seen.toSorted()).toEqual([...streams, streams[3]].map((stream) => stream?.name).toSorted())
  })

  it('share one tail everywhere when they are colocated', async () => {
    const millrace = await bed.open({ maxTails: 1 })
    const seen: string[] = []
    const streams = range(12).map(() => bed.stream({ colocate: 'small' }))
    for (const stream of streams) {
      const consumer = millrace.consumer(stream, { name: 'board' })
      await consumer.start((event) => void seen.push(event.stream)).ready
    }
    await Promise.all(streams.map((stream) => millrace.publish(stream, { n: 1 })))
    await waitFor(() => seen.length === 12, { describe: 'an event of each' })
    expect(new Set(seen).size).toBe(12)
    expect(millrace.connections).toMatchObject({ control: 1, tail: 1 })
  })

  it('above the number of tails are refused, naming the way out, and hold no lease', async () => {
    const millrace = await bed.open({ maxTails: 2 })
    const streams = range(3).map(() => bed.stream())
    const [first, second, third] = streams.map((stream) =>
      millrace.consumer(stream, { name: 'board', leaseMs: 60_000 }),
    )
    await first?.start(() => undefined).ready
    await second?.start(() => undefined).ready
    const [, , stream = bed.stream()] = streams
    if (!bed.features.slots) {
      await third?.start(() => undefined).ready
      expect(third?.state.is).toBe('holding')
      return
    }
    const refusal: unknown = await third?.start(() => undefined).done.catch((error: unknown) => error)
    expect(isMillraceError(refusal, 'TOO_MANY_TAILS') && refusal.message).toMatch(/colocate.*maxTails/)
    expect(() => millrace.reader(stream)).toThrow(expect.objectContaining({ code: 'TOO_MANY_TAILS' }))
    // Another process with room gets the lease at once: nobody holds it.
    const other = (await bed.open()).consumer(stream, { name: 'board', leaseMs: 60_000 })
    other.start(() => undefined)
    await waitFor(() => other.state.is === 'holding', { describe: 'the lease' })
    // And a tail that nobody needs any more makes room.
    await first?.close()
    const reader = millrace.reader(stream, { from: 'earliest' })
    await millrace.publish(stream, { n: 5 })
    expect((await reader.next()).value?.data).toEqual({ n: 5 })
  })
})
