import { expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { readings } from './bed.ts'
import { describeConformance } from './describe-conformance.ts'

describeConformance('inspect()', (bed) => {
  it('tells of a stream that does not exist yet', async () => {
    const millrace = await bed.open()
    expect(await millrace.inspect(bed.stream())).toMatchObject({
      exists: false,
      length: 0,
      lastId: '0-0',
      consumers: [],
      groups: [],
    })
  })

  it('tells positions, lag, holders and members as they are', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const results = await millrace.publish(stream, readings(10))
    const gate = Promise.withResolvers<void>()
    bed.onClose(() => gate.resolve())
    let handled = 0
    const consumer = millrace.consumer(stream, { name: 'board', leaseMs: 600 }).start(() => {
      if (++handled === 4) consumer.pause()
    })
    let started = 0
    const group = millrace.consumerGroup(stream, {
      name: 'pool',
      member: 'north',
      prefetch: 6,
      concurrency: 6,
    })
    group.start(async () => {
      started++
      await gate.promise
    })
    await waitFor(() => handled === 4 && started === 6, { describe: 'both to have read' })
    await waitFor(async () => (await bed.state(stream, 'board'))['position'] === results[3]?.id, {
      describe: 'the position',
    })
    const report = await millrace.inspect(stream)
    expect(report).toMatchObject({
      name: stream.name,
      exists: true,
      length: 10,
      entriesAdded: 10,
      firstId: results[0]?.id,
      lastId: results[9]?.id,
    })
    expect(report.incarnation).not.toBe('')
    expect(report.bytes).toBeGreaterThan(100)
    expect(report.consumers).toMatchObject([
      {
        name: 'board',
        position: results[3]?.id,
        lag: { events: 6, known: true },
        held: true,
        leaseMs: 600,
      },
    ])
    expect(report.consumers[0]?.lag.ms).toBeGreaterThanOrEqual(0)
    const [pool] = report.groups
    expect(pool).toMatchObject({
      kind: 'group',
      name: 'pool',
      position: results[5]?.id,
      lag: { events: 4, known: true },
      pending: 6,
      members: [{ standing: 'live', pending: 6 }],
    })
    expect(pool?.members[0]?.name).toMatch(/^north:/)
  })

  it('tells the lag truthfully after trimming and deleting, where the native one is unknown or wrong', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const results = await millrace.publish(stream, readings(20))
    const consumer = millrace.consumer(stream, { name: 'board' })
    let handled = 0
    consumer.start(() => {
      if (++handled === 5) consumer.pause()
    })
    await waitFor(() => handled === 5, { describe: 'five events' })
    await consumer.close()
    const redis = await bed.redis(stream)
    await redis.xtrim(bed.key(stream), 'MAXLEN', 17)
    await redis.xdel(bed.key(stream), results[9]?.id ?? '', results[12]?.id ?? '')
    const report = await millrace.inspect(stream)
    expect(report.consumers).toMatchObject([{ lag: { events: 13, known: true }, held: false }])
  })

  it('names groups and consumers that others made', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    await millrace.publish(stream, readings(3))
    const redis = await bed.redis(stream)
    await redis.xgroup('CREATE', bed.key(stream), 'theirs', '0')
    await redis.xreadgroup(
      'GROUP',
      'theirs',
      'stranger',
      'COUNT',
      2,
      'STREAMS',
      bed.key(stream),
      '>',
    )
    const report = await millrace.inspect(stream)
    expect(report.groups).toMatchObject([
      {
        kind: 'foreign',
        name: 'theirs',
        pending: 2,
        lag: { events: 1, known: true },
        members: [{ name: 'stranger', standing: 'foreign', pending: 2 }],
      },
    ])
  })
})
