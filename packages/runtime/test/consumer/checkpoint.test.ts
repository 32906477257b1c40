import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { createDeliveryRecorder, waitFor } from '@millrace/testkit'
import { channels } from '../../src/diagnostics.ts'
import { defineStream } from '../../src/index.ts'
import { range, type Reading, useRedis } from '../open-millrace.ts'

const bed = useRedis()

/** A consumer in a process of its own, which tells each event that it has handled. */
async function startProcess(
  settings: Record<string, unknown>,
  onHandled: (n: number) => void,
): Promise<ChildProcess> {
  const program = new URL('../programs/consume.ts', import.meta.url)
  const child = fork(program, [JSON.stringify({ url: bed.server.url, ...settings })], {
    execArgv: ['--conditions=millrace-source'],
    // Whatever Redis knows was done must have been told before: the channel is written at once.
    serialization: 'json',
  })
  bed.onClose(() => child.kill('SIGKILL'))
  child.on('message', (message: { handled?: { n: number } }) => {
    if (message.handled !== undefined) onHandled(message.handled.n)
  })
  await once(child, 'message')
  return child
}

describe('The position of a consumer', () => {
  it('follows what is done, and so does its image in Redis', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const ids = await bed.append(stream, 10)
    const gates = range(10).map(() => Promise.withResolvers<void>())
    const consumer = millrace
      .consumer(stream, { name: 'board', leaseMs: 600 })
      .start(({ data }) => gates[data.n]?.promise)
    const positionIs = async (n: number): Promise<void> => {
      await waitFor(async () => (await bed.state(stream, 'board'))['position'] === ids[n], {
        describe: `position ${n}`,
      })
      const image = await bed.image(stream, 'board')
      expect(image).toMatchObject({
        'last-delivered-id': ids[n],
        'entries-read': n + 1,
        lag: 9 - n,
        pending: 0,
        consumers: 0,
      })
      expect(consumer.position).toBe(ids[n])
    }
    for (const n of range(4)) gates[n]?.resolve()
    await positionIs(3)
    for (const n of range(6, 4)) gates[n]?.resolve()
    await positionIs(9)
    expect(await bed.state(stream, 'board')).toMatchObject({ kind: 'consumer', index: '10' })
  })

  it('begins where its owner says, once', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    for (const n of range(5))
      await bed.redis.xadd(bed.key(stream), `${1_000 + n}-0`, 'data', JSON.stringify({ n }))
    const starts = {
      earliest: 'earliest',
      latest: 'latest',
      id: { id: '1001-0' },
      time: { timeMs: 1_003 },
    } as const
    const handled: Record<string, number[]> = { earliest: [], latest: [], id: [], time: [] }
    for (const round of range(2)) {
      const consumers = Object.entries(starts).map(([name, from]) =>
        millrace
          .consumer(stream, { name, from })
          .start(({ data }) => void handled[name]?.push(data.n)),
      )
      await Promise.all(consumers.map(({ ready }) => ready))
      await bed.redis.xadd(
        bed.key(stream),
        `${1_005 + round}-0`,
        'data',
        JSON.stringify({ n: 5 + round }),
      )
      await waitFor(() => Object.values(handled).every((numbers) => numbers.at(-1) === 5 + round), {
        describe: 'all',
      })
      await Promise.all(consumers.map((consumer) => consumer.close()))
    }
    expect(handled).toEqual({
      earliest: range(7),
      latest: [5, 6],
      id: range(5, 2),
      time: range(4, 3),
    })
  })

  it('is where the next one goes on, without a gap and without a repetition', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    await bed.append(stream, 1_000)
    const handled: number[] = []
    for (const until of [100, 350, 351, 1_000]) {
      const reached = Promise.withResolvers<void>()
      const consumer = millrace.consumer(stream, { name: 'board' }).start(async ({ data }) => {
        handled.push(data.n)
        if (handled.length % 50 === 0) await new Promise(setImmediate)
        if (handled.length >= until) reached.resolve()
      })
      await reached.promise
      await consumer.close()
    }
    expect(handled).toEqual(range(1_000))
  })

  it('lets a slow key hold nobody else, and is not raised past it', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const ids = await bed.append(stream, 400, { keyOf: (n) => `key-${n % 8}` })
    const gate = Promise.withResolvers<void>()
    const done: number[] = []
    let most = 0
    let running = 0
    const consumer = millrace
      .consumer(stream, { name: 'board', order: 'key', concurrency: 4, leaseMs: 600 })
      .start(async ({ data }) => {
        most = Math.max(most, ++running)
        if (data.n === 3) await gate.promise
        else await new Promise(setImmediate)
        running--
        done.push(data.n)
      })
    await waitFor(() => done.length === 350, { describe: 'the other keys' })
    expect(most).toBe(4)
    await waitFor(async () => (await bed.state(stream, 'board'))['position'] === ids[2], {
      describe: 'the position',
    })
    gate.resolve()
    await waitFor(() => done.length === 400, { describe: 'all events' })
    for (const key of range(8))
      expect(done.filter((n) => n % 8 === key)).toEqual(range(50).map((i) => i * 8 + key))
    await consumer.close()
    expect(await bed.state(stream, 'board')).toMatchObject({ position: ids.at(-1), ranges: '' })
  })

  it('skips what was done above the position before a crash', async () => {
    const stream = bed.stream()
    const ids = await bed.append(stream, 60, { keyOf: (n) => `key-${n % 6}` })
    const handled: number[] = []
    const child = await startProcess(
      { stream: stream.name, name: 'board', order: 'key', leaseMs: 600, blockOn: [2] },
      (n) => handled.push(n),
    )
    await waitFor(() => handled.length === 50, { describe: 'the other keys' })
    await waitFor(
      async () => {
        const { position, ranges } = await bed.state(stream, 'board')
        return position === ids[1] && ranges?.endsWith(`>${ids.at(-1)}`)
      },
      { describe: 'the ranges to be stored' },
    )
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
    const millrace = await bed.open()
    const again: number[] = []
    millrace
      .consumer(stream, { name: 'board', order: 'key' })
      .start(({ data }, { redelivered }) => {
        again.push(data.n)
        expect(redelivered).toBe(true)
      })
    await waitFor(() => again.length >= 10, { describe: 'the rest' })
    expect(again).toEqual(range(10).map((i) => i * 6 + 2))
  })

  it('never makes a sync handler see an event twice while pages and the tail take turns', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const recorder = createDeliveryRecorder({ order: 'stream' })
    const names = ['one', 'two', 'three']
    for (const [i, name] of names.entries()) {
      millrace
        .consumer(stream, { name, maxInFlight: 20 * (i + 1), latencyBudgetMs: 0 })
        .start(({ id, data }) => {
          recorder.record({ id, sequence: data.n, consumer: name })
        })
    }
    const ids: string[] = []
    for (const round of range(300))
      ids.push(...(await bed.append(stream, 1 + ((round * 31) % 60), { first: ids.length })))
    for (const consumer of names) {
      await waitFor(() => recorder.report(ids, { consumer }).lost === 0, {
        describe: `all events at ${consumer}`,
      })
      expect(recorder.report(ids, { consumer })).toMatchObject({ duplicates: 0, outOfOrder: 0 })
    }
  })

  it('loses, repeats and disorders none of 50,000 events that are published meanwhile', async () => {
    const millrace = await bed.open()
    const stream = defineStream<Reading>('keyed', { key: ({ n }) => `key-${n % 50}` })
    const handled = { stream: [] as number[], key: [] as number[] }
    const checkpoints = bed.gather(channels.checkpointed)
    const inOrder = millrace
      .consumer(stream, { name: 'in-order' })
      .start(({ data }) => void handled.stream.push(data.n))
    const byKey = millrace
      .consumer(stream, { name: 'by-key', order: 'key', concurrency: 8 })
      .start(async ({ data }) => {
        if (data.n % 100 === 0) await new Promise(setImmediate)
        handled.key.push(data.n)
      })
    let last = ''
    for (let n = 0; n < 50_000; n += 1_000) {
      const batch = await millrace.publish(
        stream,
        range(1_000, n).map((one) => ({ n: one })),
      )
      last = String(batch.at(-1)?.id)
    }
    await waitFor(() => handled.stream.length >= 50_000 && handled.key.length >= 50_000, {
      describe: 'all events',
    })
    expect(handled.stream).toEqual(range(50_000))
    expect(handled.key.length).toBe(50_000)
    const lastOfKey = new Map<number, number>()
    for (const n of handled.key) {
      expect(n).toBeGreaterThan(lastOfKey.get(n % 50) ?? -1)
      lastOfKey.set(n % 50, n)
    }
    await Promise.all([inOrder.close(), byKey.close()])
    for (const name of ['in-order', 'by-key']) {
      expect((await bed.state(stream, name))['position']).toBe(last)
      const told = checkpoints.filter((one) => one.name === name)
      expect(told.reduce((sum, { events }) => sum + events, 0)).toBe(50_000)
    }
  })
})
