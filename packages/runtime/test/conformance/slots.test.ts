import type { Redis } from 'ioredis'
import { expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { type Consumer, isMillraceError } from '../../src/index.ts'
import { range, type Reading } from './bed.ts'
import { describeConformance } from './describe-conformance.ts'

async function isBlocked(redis: Redis): Promise<boolean> {
  return (await redis.info('clients')).includes('blocked_clients:1')
}

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
    expect(seen.at(-1)).toBe(streams[3]?.name)
    expect(new Set(seen)).toEqual(new Set(streams.map(({ name }) => name)))
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

  it('are read from the moment they are added, also while a long read blocks', async () => {
    const millrace = await bed.open({ blockMs: 60_000 })
    const seen: string[] = []
    const streams = range(5).map(() => bed.stream({ colocate: 'late' }))
    for (const [round, stream] of streams.entries()) {
      const consumer = millrace.consumer(stream, { name: 'board' })
      await consumer.start((event) => void seen.push(event.stream)).ready
      await waitFor(async () => isBlocked(await bed.redis(stream)), { describe: 'a read to block' })
      await millrace.publish(stream, { n: 1 })
      await waitFor(() => seen.length === round + 1, { describe: 'the event of the new stream' })
    }
    expect(seen).toEqual(streams.map(({ name }) => name))
  })

  it.skipIf(bed.arrangement !== 'cluster')(
    'above the number of tails are refused, naming the way out, and hold no lease (needs slots)',
    async () => {
      const millrace = await bed.open({ maxTails: 2 })
      const [here, there, stream = bed.stream()] = range(3).map(() => bed.stream())
      const open = (of: typeof stream | undefined): Consumer<Reading> =>
        millrace.consumer(of ?? stream, { name: 'board', leaseMs: 60_000 }).start(() => undefined)
      const first = open(here)
      await Promise.all([first.ready, open(there).ready])
      const refusal: unknown = await open(stream).done.catch((error: unknown) => error)
      expect(isMillraceError(refusal, 'TOO_MANY_TAILS') && refusal.message).toMatch(
        /colocate.*maxTails/,
      )
      expect(() => millrace.reader(stream)).toThrow(
        expect.objectContaining({ code: 'TOO_MANY_TAILS' }),
      )
      // Another process with room gets the lease at once: nobody holds it.
      const other = (await bed.open()).consumer(stream, { name: 'board', leaseMs: 60_000 })
      other.start(() => undefined)
      await waitFor(() => other.state.is === 'holding', { describe: 'the lease' })
      // And a tail that nobody needs any more makes room.
      await first.close()
      const reader = millrace.reader(stream, { from: 'earliest' })
      await millrace.publish(stream, { n: 5 })
      expect((await reader.next()).value?.data).toEqual({ n: 5 })
    },
  )
})
