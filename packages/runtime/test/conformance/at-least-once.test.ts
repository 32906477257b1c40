import { expect, it } from 'vitest'
import { createDeliveryRecorder, waitFor } from '@millrace/testkit'
import { channels } from '../../src/index.ts'
import { range, readings } from './bed.ts'
import { describeConformance } from './describe-conformance.ts'
import { idsOf } from './ids-of.ts'
import { startLoad } from './load.ts'

describeConformance('At least once', (bed) => {
  it('hands every event to every consumer, and to one member of every group', async () => {
    const stream = bed.stream()
    const recorder = createDeliveryRecorder({ order: 'stream' })
    const consumers = ['board', 'search', 'audit']
    const members = ['north', 'south']
    for (const name of consumers) {
      const millrace = await bed.open()
      const consumer = millrace.consumer(stream, { name }).start(({ id, data }) => {
        recorder.record({ id, sequence: data.n, consumer: name })
      })
      await consumer.ready
    }
    for (const member of members) {
      const millrace = await bed.open()
      const group = millrace
        .consumerGroup(stream, { name: 'pool', member })
        .start(({ id }) => recorder.record({ id, sequence: 0, consumer: 'pool' }))
      await group.ready
    }
    const producer = await bed.open()
    const results = await producer.publish(stream, readings(500))
    await waitFor(() => recorder.deliveries.length === 2_000, { describe: 'all deliveries' })
    for (const consumer of [...consumers, 'pool']) {
      const report = recorder.report(idsOf(results), { consumer })
      expect(report).toMatchObject({ lost: 0, outOfOrder: 0, duplicates: 0, distinct: 500 })
    }
  })

  it('tries again what failed, and counts the attempts', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const attempts: Record<string, number[]> = { board: [], pool: [] }
    const failTwice =
      (name: string) =>
      (_: unknown, { attempt }: { attempt: number }) => {
        attempts[name]?.push(attempt)
        if (attempt < 3) throw new Error('not yet')
      }
    const backoff = { firstMs: 5, greatestMs: 5 }
    millrace.consumer(stream, { name: 'board', backoff }).start(failTwice('board'))
    millrace.consumerGroup(stream, { name: 'pool', backoff }).start(failTwice('pool'))
    await millrace.publish(stream, { n: 1 })
    await waitFor(() => attempts['board']?.length === 3 && attempts['pool']?.length === 3, {
      describe: 'three attempts each',
    })
    expect(attempts).toEqual({ board: [1, 2, 3], pool: [1, 2, 3] })
  })

  it('loses nothing and keeps the order while every connection is cut again and again', async () => {
    const stream = bed.stream()
    const recorder = createDeliveryRecorder({ order: 'stream' })
    const millrace = await bed.open()
    const consumer = millrace.consumer(stream, { name: 'board' }).start(({ id, data }) => {
      recorder.record({ id, sequence: data.n, consumer: 'board' })
    })
    const group = millrace.consumerGroup(stream, { name: 'pool' }).start(({ id }) => {
      recorder.record({ id, sequence: 0, consumer: 'pool' })
    })
    await Promise.all([consumer.ready, group.ready])
    const load = startLoad(await bed.open(), stream)
    for (const round of range(5)) {
      const seen = recorder.deliveries.length
      await bed.cutConnections()
      // Both go on after each cut, before the next one comes.
      await waitFor(() => recorder.deliveries.length > seen + 20, {
        describe: `the flow after cut ${round}`,
      })
    }
    await load.stop()
    expect(load.failures).toEqual([])
    const stored = await bed.stored(stream)
    expect(stored.map(({ n }) => n)).toEqual(range(load.accepted.length))
    for (const name of ['board', 'pool']) {
      await waitFor(() => recorder.report(stored, { consumer: name }).lost === 0, {
        describe: `everything to reach ${name}`,
      })
      expect(recorder.report(stored, { consumer: name }).outOfOrder).toBe(0)
    }
    // A Consumer reads nothing twice in one process, whatever happens to its connections.
    expect(recorder.report(stored, { consumer: 'board' }).duplicates).toBe(0)
  })

  it('goes on after the native group of a consumer or a group was destroyed, and says so', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const changes = bed.gather(channels.positionChanged)
    const seen: Record<string, number[]> = { board: [], pool: [] }
    millrace
      .consumer(stream, { name: 'board', leaseMs: 2_000 })
      .start(({ data }) => void seen['board']?.push(data.n))
    millrace
      .consumerGroup(stream, { name: 'pool', leaseMs: 2_000 })
      .start(({ data }) => void seen['pool']?.push(data.n))
    await millrace.publish(stream, readings(10))
    await waitFor(async () => seen['board']?.length === 10 && seen['pool']?.length === 10, {
      describe: 'the first events',
    })
    await waitFor(async () => (await bed.image(stream, 'pool'))['pending'] === 0, {
      describe: 'the first events to be acknowledged',
    })
    const redis = await bed.redis(stream)
    await redis.xgroup('DESTROY', bed.key(stream), 'board')
    await redis.xgroup('DESTROY', bed.key(stream), 'pool')
    await millrace.publish(stream, readings(10, 10))
    await waitFor(() => new Set(seen['board']).size === 20 && new Set(seen['pool']).size === 20, {
      describe: 'the later events',
    })
    await waitFor(() => new Set(changes.map(({ name }) => name)).size === 2, {
      describe: 'both to say so',
    })
    expect(new Set(changes.map(({ name, change }) => `${name} ${change}`))).toEqual(
      new Set(['board group-recreated', 'pool group-recreated']),
    )
    expect(seen['board']).toEqual(range(20))
  })
})
