import { describe, expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import type { ErrorCode } from '../../src/errors.ts'
import { range, useRedis } from '../open-millrace.ts'

const bed = useRedis()

/** An error of ours, as `toMatchObject` compares it. */
function withCode(code: ErrorCode): { code: ErrorCode } {
  return { code }
}

describe('The life of a consumer', () => {
  it('is idle until it is started, then starting, then holding, and closed in the end', async () => {
    const millrace = await bed.open()
    const consumer = millrace.consumer(bed.stream(), { name: 'board' })
    expect(consumer.state).toEqual({ is: 'idle' })
    consumer.start(() => undefined)
    expect(consumer.state).toEqual({ is: 'starting' })
    await consumer.ready
    expect(consumer.state).toEqual({
      is: 'holding',
      token: expect.stringMatching(/^\d{13}-[0-9a-f]{32}$/),
    })
    const closing = consumer.close()
    expect(consumer.state).toEqual({ is: 'draining' })
    await closing
    expect(consumer.state).toEqual({ is: 'closed' })
    await expect(consumer.done).resolves.toBeUndefined()
    await expect(consumer.closed).resolves.toBeUndefined()
  })

  it('throws STATE_INVALID at a second start, and names the state', async () => {
    const millrace = await bed.open()
    const consumer = millrace.consumer(bed.stream(), { name: 'board' }).start(() => undefined)
    expect(() => consumer.start(() => undefined)).toThrow(/is starting/)
    expect(() => consumer.start(() => undefined)).toThrow(
      expect.objectContaining(withCode('STATE_INVALID')),
    )
    await consumer.close()
    expect(() => consumer.start(() => undefined)).toThrow(/is closed/)
  })

  it('refuses a handler that is no function, and stays idle', async () => {
    const millrace = await bed.open()
    const consumer = millrace.consumer(bed.stream(), { name: 'board' })
    // @ts-expect-error what a program without types may pass
    expect(() => consumer.start('handler')).toThrow(
      expect.objectContaining(withCode('OPTIONS_INVALID')),
    )
    expect(consumer.state).toEqual({ is: 'idle' })
  })

  it('answers the same promise however often it is closed', async () => {
    const millrace = await bed.open()
    const consumer = millrace.consumer(bed.stream(), { name: 'board' }).start(() => undefined)
    await consumer.ready
    const first = consumer.close()
    expect(consumer.close()).toBe(first)
    await first
    expect(consumer.close()).toBe(first)
  })

  it('keeps its lease while it is drained, and gives it back when it is closed', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const handled: number[] = []
    const consumer = millrace.consumer(stream, { name: 'board' }).start(({ data }) => {
      handled.push(data.n)
    })
    await consumer.ready
    await consumer.drain()
    await millrace.publish(stream, { n: 1 })
    const [held] = (await millrace.inspect(stream)).consumers
    expect(held).toMatchObject({ held: true, lag: { events: 1 } })
    expect(consumer.state.is).toBe('draining')
    expect(handled).toEqual([])
    await consumer.close()
    const [released] = (await millrace.inspect(stream)).consumers
    expect(released?.held).toBe(false)
  })

  it('cannot be started once close was called, even when that was a moment ago', async () => {
    const millrace = await bed.open()
    const consumer = millrace.consumer(bed.stream(), { name: 'board' })
    const closing = consumer.close()
    expect(() => consumer.start(() => undefined)).toThrow(
      expect.objectContaining(withCode('STATE_INVALID')),
    )
    await closing
    expect(consumer.state).toEqual({ is: 'closed' })
    await expect(consumer.done).resolves.toBeUndefined()
  })

  it('can be closed right after start, and leaves a lease that the next one need not wait for', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    for (const round of range(20)) {
      const consumer = millrace
        .consumer(stream, { name: 'board', leaseMs: 60_000 })
        .start(() => undefined)
      for (let turns = 0; turns < round; turns++) await Promise.resolve()
      if (round % 4 === 3) await new Promise(setImmediate)
      await consumer.close()
      expect(consumer.state).toEqual({ is: 'closed' })
    }
    const next = millrace
      .consumer(stream, { name: 'board', leaseMs: 60_000 })
      .start(() => undefined)
    await waitFor(() => next.state.is === 'holding', { describe: 'the lease' })
  })

  it('waits for a running handler when it is closed, and stores what that has done', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const [first] = await bed.append(stream, 3)
    const gate = Promise.withResolvers<void>()
    const handled: number[] = []
    const consumer = millrace.consumer(stream, { name: 'board' }).start(async ({ data }) => {
      handled.push(data.n)
      await gate.promise
    })
    await waitFor(() => handled.length === 1, { describe: 'the first event' })
    let closed = false
    const closing = consumer.close().then(() => (closed = true))
    await new Promise(setImmediate)
    expect(closed).toBe(false)
    gate.resolve()
    await closing
    expect(handled).toEqual([0])
    const state = await bed.state(stream, 'board')
    expect(state).toMatchObject({ position: first, released: '1' })
  })

  it('aborts handlers that outlast the deadline of closing, and does not count the attempt', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    await bed.append(stream, 1)
    const reasons: unknown[] = []
    const attempts: number[] = []
    const started = Promise.withResolvers<void>()
    const consumer = millrace
      .consumer(stream, { name: 'board' })
      .start((_event, { signal, attempt }) => {
        attempts.push(attempt)
        started.resolve()
        const { promise, reject } = Promise.withResolvers<void>()
        signal.addEventListener('abort', () => {
          reasons.push(signal.reason)
          reject(new Error('told to give up'))
        })
        return promise
      })
    await started.promise
    await consumer.close({ deadlineMs: 20 })
    expect(reasons).toEqual([expect.objectContaining(withCode('CLOSED'))])
    const again = millrace.consumer(stream, { name: 'board' }).start((_event, { attempt }) => {
      attempts.push(attempt)
    })
    await waitFor(() => attempts.length === 2, { describe: 'the event to come again' })
    expect(attempts).toEqual([1, 1])
    await again.close()
  })

  it('closes when its signal fires', async () => {
    const millrace = await bed.open()
    const stop = new AbortController()
    const consumer = millrace
      .consumer(bed.stream(), { name: 'board', signal: stop.signal })
      .start(() => undefined)
    await consumer.ready
    stop.abort()
    await consumer.done
    expect(consumer.state).toEqual({ is: 'closed' })
  })

  it('is closed from the beginning when its signal has fired before', async () => {
    const millrace = await bed.open()
    const consumer = millrace.consumer(bed.stream(), { name: 'board', signal: AbortSignal.abort() })
    await consumer.done
    expect(consumer.state).toEqual({ is: 'closed' })
  })

  it('stands by while another one holds the lease, and is handed it on close', async () => {
    const stream = bed.stream()
    const first = (await bed.open()).consumer(stream, { name: 'board' }).start(() => undefined)
    await first.ready
    const second = (await bed.open()).consumer(stream, { name: 'board' }).start(() => undefined)
    await second.ready
    expect(second.state).toMatchObject({ is: 'standby' })
    expect(second.position).toBeUndefined()
    await first.close()
    await waitFor(() => second.state.is === 'holding', { describe: 'the lease to be handed over' })
  })

  it('hands out nothing while it is paused for any reason', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const handled: number[] = []
    const consumer = millrace.consumer(stream, { name: 'board' })
    consumer.pause()
    consumer.pause('maintenance')
    consumer.start(({ data }) => void handled.push(data.n))
    await bed.append(stream, 3)
    await waitFor(() => consumer.inFlight === 3, { describe: 'the events to be received' })
    consumer.resume()
    expect(consumer.pausedBy).toEqual(['maintenance'])
    await new Promise(setImmediate)
    expect(handled).toEqual([])
    consumer.resume('maintenance')
    await waitFor(() => handled.length === 3, { describe: 'the events' })
  })

  it('ends with Millrace, within a short time, while Redis is away', async () => {
    const proxy = await bed.proxy()
    const millrace = await bed.open({}, proxy.url)
    const consumer = millrace.consumer(bed.stream(), { name: 'board' }).start(() => undefined)
    await consumer.ready
    await proxy.refuse()
    proxy.resetAll()
    await millrace.close()
    expect(consumer.state).toEqual({ is: 'closed' })
  })

  it('uses three connections however many consumers there are', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const consumers = range(20).map((i) =>
      millrace.consumer(stream, { name: `board-${i}` }).start(() => undefined),
    )
    await Promise.all(consumers.map(({ ready }) => ready))
    await waitFor(() => millrace.connections['tail'] === 1, { describe: 'the tail' })
    expect(millrace.connections).toMatchObject({ data: 1, control: 1, tail: 1, group: 0 })
  })
})
