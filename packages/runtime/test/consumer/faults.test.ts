import { describe, expect, it } from 'vitest'
import { createDeliveryRecorder, waitFor } from '@millrace/testkit'
import { channels } from '../../src/diagnostics.ts'
import type { Consumer } from '../../src/index.ts'
import { range, type Reading, useRedis } from '../open-millrace.ts'

const bed = useRedis({ persistence: true })

/** Waits until the consumer has joined the tail, so that a fault meets it in its usual state. */
async function settled(consumer: Consumer<Reading>): Promise<void> {
  await consumer.ready
  await waitFor(async () => (await bed.clients('tail')).length > 0, { describe: 'the tail' })
}

async function redisIsBack(): Promise<void> {
  await waitFor(async () => (await bed.redis.ping()) === 'PONG', { describe: 'Redis' })
}

describe('Faults of connections and of the server', () => {
  it.each(['tail', 'data', 'control'])(
    'loses nothing, and repeats nothing, when its %s connection is killed',
    async (purpose) => {
      const millrace = await bed.open()
      const stream = bed.stream()
      const handled: number[] = []
      const consumer = millrace
        .consumer(stream, { name: 'board' })
        .start(({ data }) => void handled.push(data.n))
      await settled(consumer)
      for (const round of range(10)) {
        for (const id of await bed.clients(purpose)) await bed.redis.client('KILL', 'ID', id)
        await bed.append(stream, 50, { first: round * 50 })
        if (round % 2 === 0)
          await waitFor(() => handled.length >= (round + 1) * 50, { describe: 'this round' })
      }
      await waitFor(() => handled.length >= 500, { describe: 'all events' })
      expect(handled).toEqual(range(500))
    },
  )

  it('outlasts an outage of any kind', async () => {
    const millrace = await bed.open({ deadlineMs: 1_000 })
    const stream = bed.stream()
    const recorder = createDeliveryRecorder({ order: 'stream' })
    const consumer = millrace
      .consumer(stream, { name: 'board', leaseMs: 1_000 })
      .start(({ id, data }) => {
        recorder.record({ id, sequence: data.n, consumer: 'board' })
      })
    await settled(consumer)
    const ids = await bed.append(stream, 100)
    await bed.server.kill('SIGKILL')
    // Longer than its lease and than its calls wait.
    const lost = bed.gather(channels.leaseChanged)
    await waitFor(() => lost.some(({ change }) => change === 'lost'), {
      describe: 'the lease to be given up',
    })
    await bed.server.restart()
    await redisIsBack()
    ids.push(...(await bed.append(stream, 100, { first: 100 })))
    await waitFor(() => recorder.report(ids).lost === 0, { describe: 'all events' })
    await bed.redis.script('FLUSH')
    ids.push(...(await bed.append(stream, 100, { first: 200 })))
    await waitFor(() => recorder.report(ids).lost === 0, { describe: 'all events' })
    expect(recorder.report(ids)).toMatchObject({ lost: 0, outOfOrder: 0 })
    await waitFor(() => consumer.state.is === 'holding', { describe: 'the lease' })
  })

  it('goes on after a network that swallowed everything, without anybody being told', async () => {
    const proxy = await bed.proxy()
    const millrace = await bed.open({ deadlineMs: 1_000 }, proxy.url)
    const stream = bed.stream()
    const handled: number[] = []
    const consumer = millrace
      .consumer(stream, { name: 'board', leaseMs: 1_000 })
      .start(({ data }) => void handled.push(data.n))
    await settled(consumer)
    await bed.append(stream, 10)
    await waitFor(() => handled.length === 10, { describe: 'the first events' })
    const leases = bed.gather(channels.leaseChanged)
    proxy.blackhole('both')
    await bed.append(stream, 10, { first: 10 })
    await waitFor(() => leases.some(({ change }) => change === 'lost'), {
      describe: 'the lease to be given up',
    })
    await proxy.heal()
    await waitFor(() => new Set(handled).size === 20, { describe: 'all events' })
    expect(handled.slice(0, 10)).toEqual(range(10))
    expect([...new Set(handled)]).toEqual(range(20))
  })

  it('loses nothing when the answer to a checkpoint is lost', async () => {
    const proxy = await bed.proxy()
    const millrace = await bed.open({}, proxy.url)
    const stream = bed.stream()
    const handled: number[] = []
    const positions = bed.gather(channels.positionChanged)
    const consumer = millrace
      .consumer(stream, { name: 'board', checkpointEvery: 10 })
      .start(({ data }) => void handled.push(data.n))
    await settled(consumer)
    let ids: string[] = []
    for (const round of range(5)) {
      const dropped = proxy.dropNextReply(
        (command) => command.includes('board') && /^eval/i.test(command[0] ?? ''),
      )
      ids = await bed.append(stream, 20, { first: round * 20 })
      await dropped
      await waitFor(() => handled.length === (round + 1) * 20, { describe: 'this round' })
    }
    await consumer.close()
    expect(handled).toEqual(range(100))
    expect(positions).toEqual([])
    expect((await bed.state(stream, 'board'))['position']).toBe(ids.at(-1))
  })

  it('does not wait for its own lease when the answer to the request for it is lost', async () => {
    const proxy = await bed.proxy()
    const millrace = await bed.open({}, proxy.url)
    const stream = bed.stream()
    const dropped = proxy.dropNextReply((command) => command.includes('board'))
    const consumer = millrace
      .consumer(stream, { name: 'board', leaseMs: 60_000 })
      .start(() => undefined)
    await dropped
    await waitFor(() => consumer.state.is === 'holding', { describe: 'the lease' })
    expect((await bed.state(stream, 'board'))['counter']).toBe('2')
  })

  it('loses nothing when the answer to the blocking read is lost', async () => {
    const proxy = await bed.proxy()
    const millrace = await bed.open({}, proxy.url)
    const stream = bed.stream()
    const handled: number[] = []
    const consumer = millrace
      .consumer(stream, { name: 'board' })
      .start(({ data }) => void handled.push(data.n))
    await settled(consumer)
    for (const round of range(5)) {
      const dropped = proxy.dropNextReply((command) => command[0] === 'xread')
      await bed.append(stream, 20, { first: round * 20 })
      await dropped
      await waitFor(() => handled.length === (round + 1) * 20, { describe: 'this round' })
    }
    expect(handled).toEqual(range(100))
  })

  it('handles each event, in order, while one answer in twenty is lost', async () => {
    const proxy = await bed.proxy()
    const millrace = await bed.open({}, proxy.url)
    const stream = bed.stream()
    const recorder = createDeliveryRecorder({ order: 'stream' })
    const consumer = millrace
      .consumer(stream, { name: 'board', checkpointEvery: 50 })
      .start(({ id, data }) => {
        recorder.record({ id, sequence: data.n, consumer: 'board' })
      })
    await settled(consumer)
    proxy.dropEveryNthReply(20)
    const ids: string[] = []
    for (const round of range(40))
      ids.push(...(await bed.append(stream, 50, { first: round * 50 })))
    await waitFor(() => recorder.report(ids).lost === 0, { describe: 'all events' })
    await proxy.heal()
    expect(recorder.report(ids)).toMatchObject({ lost: 0, outOfOrder: 0 })
    await consumer.close()
    expect((await bed.state(stream, 'board'))['position']).toBe(ids.at(-1))
  })
})

describe('Keys that vanish', () => {
  it('begins at the start of a stream that was created anew', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const handled: number[] = []
    const consumer = millrace
      .consumer(stream, { name: 'board' })
      .start(({ data }) => void handled.push(data.n))
    await settled(consumer)
    await millrace.publish(
      stream,
      range(3).map((n) => ({ n })),
    )
    await waitFor(() => handled.length === 3, { describe: 'the first events' })
    const positions = bed.gather(channels.positionChanged)
    await bed.redis.del(bed.key(stream))
    await millrace.publish(
      stream,
      range(3, 10).map((n) => ({ n })),
    )
    await waitFor(() => new Set(handled).size === 6, { describe: 'the events of the new stream' })
    await waitFor(() => positions.some(({ change }) => change === 'recreated'), {
      describe: 'the report',
    })
  })

  it('begins at the start of a stream that somebody else created anew, with lower ids', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const handled: number[] = []
    const consumer = millrace
      .consumer(stream, { name: 'board', leaseMs: 1_000 })
      .start(({ data }) => void handled.push(data.n))
    await settled(consumer)
    await bed.append(stream, 3)
    await waitFor(async () => (await bed.state(stream, 'board'))['position'] !== '0-0', {
      describe: 'the position',
    })
    const positions = bed.gather(channels.positionChanged)
    await bed.redis.del(bed.key(stream))
    for (const n of range(3, 10))
      await bed.redis.xadd(bed.key(stream), `${n}-0`, 'data', JSON.stringify({ n }))
    await waitFor(() => new Set(handled).size === 6, { describe: 'the events of the new stream' })
    expect(positions.map(({ change }) => change)).toContain('recreated')
    await consumer.close()
    expect((await bed.state(stream, 'board'))['position']).toBe('12-0')
  })

  it('begins at the start of a stream that was away for a while', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const handled: number[] = []
    const positions = bed.gather(channels.positionChanged)
    const consumer = millrace
      .consumer(stream, { name: 'board', leaseMs: 600 })
      .start(({ data }) => void handled.push(data.n))
    await settled(consumer)
    await bed.append(stream, 3)
    await waitFor(() => handled.length === 3, { describe: 'the first events' })
    await bed.redis.del(bed.key(stream))
    await waitFor(() => positions.some(({ change }) => change === 'recreated'), {
      describe: 'the report',
    })
    for (const n of range(3, 10))
      await bed.redis.xadd(bed.key(stream), `${n}-0`, 'data', JSON.stringify({ n }))
    await waitFor(() => handled.length === 6, { describe: 'the events of the new stream' })
    expect(handled).toEqual([0, 1, 2, 10, 11, 12])
  })

  it('does not take a start that is still to come for a stream that was created anew', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const handled: number[] = []
    const positions = bed.gather(channels.positionChanged)
    const consumer = millrace
      .consumer(stream, { name: 'board', leaseMs: 600, from: { timeMs: 5_000_000_000_000 } })
      .start(({ data }) => void handled.push(data.n))
    await settled(consumer)
    await bed.append(stream, 3)
    const beat = async (): Promise<number> => Number((await bed.state(stream, 'board'))['beat'])
    const before = await beat()
    await waitFor(async () => (await beat()) > before + 3, { describe: 'a few beats' })
    await bed.redis.xadd(bed.key(stream), '5000000000000-0', 'data', '{"n":7}')
    await waitFor(() => handled.length > 0, { describe: 'the event' })
    expect(handled).toEqual([7])
    expect(positions).toEqual([])
  })

  it('goes on after FLUSHALL, with the events that are published then', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const handled: number[] = []
    const consumer = millrace
      .consumer(stream, { name: 'board', leaseMs: 1_000 })
      .start(({ data }) => void handled.push(data.n))
    await settled(consumer)
    await bed.append(stream, 5)
    await waitFor(() => handled.length === 5, { describe: 'the first events' })
    await bed.redis.flushall()
    await bed.append(stream, 5, { first: 5 })
    await waitFor(() => new Set(handled).size === 10, { describe: 'the events after it' })
    await waitFor(async () => (await bed.state(stream, 'board'))['kind'] === 'consumer', {
      describe: 'its state',
    })
    await consumer.close()
  })

  it('goes on where it was when its state vanished, and loses nothing', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const handled: number[] = []
    const positions = bed.gather(channels.positionChanged)
    await bed.append(stream, 2)
    const consumer = millrace
      .consumer(stream, { name: 'board', leaseMs: 600, from: 'latest' })
      .start(({ data }) => void handled.push(data.n))
    await settled(consumer)
    await bed.append(stream, 3, { first: 2 })
    await waitFor(() => handled.length === 3, { describe: 'the first events' })
    await bed.redis.del(`${bed.key(stream)}:state:board`)
    await bed.append(stream, 3, { first: 5 })
    await waitFor(() => positions.length > 0, { describe: 'the report' })
    await bed.append(stream, 3, { first: 8 })
    await waitFor(() => new Set(handled).size === 9, { describe: 'all events' })
    expect([...new Set(handled)]).toEqual(range(9, 2))
  })

  it('makes its image again when somebody destroyed it', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const positions = bed.gather(channels.positionChanged)
    const handled: number[] = []
    const consumer = millrace
      .consumer(stream, { name: 'board', leaseMs: 600 })
      .start(({ data }) => void handled.push(data.n))
    await settled(consumer)
    await bed.append(stream, 3)
    await waitFor(async () => (await bed.image(stream, 'board'))?.['lag'] === 0, {
      describe: 'the image to be current',
    })
    await bed.redis.xgroup('DESTROY', bed.key(stream), 'board')
    const ids = await bed.append(stream, 3, { first: 3 })
    await waitFor(
      async () => (await bed.image(stream, 'board'))?.['last-delivered-id'] === ids.at(-1),
      {
        describe: 'the image',
      },
    )
    await waitFor(() => positions.length > 0, { describe: 'the word of it' })
    expect(positions.map(({ change }) => change)).toEqual(['group-recreated'])
    expect(handled).toEqual(range(6))
  })
})
