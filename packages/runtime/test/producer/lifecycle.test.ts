import {
  type FaultProxy,
  type RedisServer,
  startFaultProxy,
  startRedis,
  waitFor,
} from '@millrace/testkit'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { channels } from '../../src/diagnostics.ts'
import { Producer } from '../../src/producer/producer.ts'
import { defineStream } from '../../src/stream/define-stream.ts'
import { numbers, openRig, payloadsOf } from './rig.ts'

const stream = defineStream<{ n: number }>('flights')
const KEY = 'mr:{flights}flights'

describe('the life of a producer', () => {
  let redis: RedisServer
  let proxy: FaultProxy

  beforeEach(async () => {
    redis = await startRedis()
    proxy = await startFaultProxy(redis)
  })
  afterEach(async () => {
    await proxy[Symbol.asyncDispose]()
    await redis[Symbol.asyncDispose]()
  })

  const codesOf = async (promises: readonly Promise<unknown>[]): Promise<string[]> =>
    (await Promise.allSettled(promises)).map((outcome) =>
      outcome.status === 'fulfilled'
        ? 'stored'
        : String((outcome.reason as { code?: unknown }).code),
    )

  it('opens no connection before the first event', async () => {
    using rig = openRig(proxy.url)
    const producer = new Producer(rig.core, stream)
    await producer.close()
    expect(proxy.accepted).toBe(0)
  })

  it('finishes what is under way when it is closed, and takes nothing new', async () => {
    using rig = openRig(redis.url)
    const producer = new Producer(rig.core, stream)
    const published = producer.publishMany(numbers(5_000))
    const closing = producer.close()
    expect(producer.close()).toBe(closing)
    expect(await codesOf([producer.publish({ n: -1 })])).toEqual(['CLOSED'])
    expect(await published).toHaveLength(5_000)
    await closing
    await producer.closed
    expect(await codesOf([producer.publish({ n: -1 }), producer.publishMany([])])).toEqual([
      'CLOSED',
      'CLOSED',
    ])
    expect(await payloadsOf(redis.client(), KEY)).toEqual(numbers(5_000))
  })

  it('gives up what is left at the deadline of close, and says what is unknown', async () => {
    using rig = openRig(proxy.url)
    const producer = new Producer(rig.core, stream, { maxInFlightEvents: 1 })
    await producer.publish({ n: 0 })
    proxy.blackhole('toServer')
    const sent = producer.publish({ n: 1 })
    const waiting = producer.publish({ n: 2 })
    const codes = codesOf([sent, waiting])
    await new Promise((resolve) => setImmediate(resolve))
    await producer.close({ deadlineMs: 50 })
    expect(await codes).toEqual(['PUBLISH_UNKNOWN', 'CLOSED'])
  })

  it('drains without being closed, within a deadline', async () => {
    using rig = openRig(proxy.url)
    await using producer = new Producer(rig.core, stream)
    await producer.publish({ n: 0 })
    proxy.blackhole('toClient')
    const published = producer.publish({ n: 1 })
    expect(await codesOf([producer.drain({ deadlineMs: 20 })])).toEqual(['UNAVAILABLE'])
    proxy.resetAll()
    await proxy.heal()
    await producer.drain()
    await published
    expect(await codesOf([producer.publish({ n: 2 })])).toEqual(['CLOSED'])
  })

  it('waits for a server that is away, until the deadline of the event', async () => {
    using rig = openRig(redis.url, 60_000)
    await using producer = new Producer(rig.core, stream)
    await redis.kill('SIGKILL')
    const impatient = producer.publish({ n: 100 }, { deadlineMs: 50 })
    const patient = producer.publish({ n: 0 })
    const failures: number[] = []
    const off = channels.publishFailed.subscribe(({ events }) => failures.push(events))
    expect(await codesOf([impatient])).toEqual(['UNAVAILABLE'])
    off()
    expect(failures).toEqual([1])
    await redis.restart()
    await patient
    expect(await payloadsOf(redis.client(), KEY)).toEqual(numbers(1))
  })

  it('lets go of an event when its signal fires, and stores it only if it was under way', async () => {
    using rig = openRig(proxy.url)
    await using producer = new Producer(rig.core, stream, { maxInFlightEvents: 1 })
    await producer.publish({ n: 0 })
    const abort = new AbortController()
    proxy.blackhole('toClient')
    const sent = producer.publish({ n: 1 }, { signal: abort.signal })
    const waiting = producer.publish({ n: 100 }, { signal: abort.signal })
    await waitFor(async () => (await redis.client().xlen(KEY)) === 2, {
      describe: 'the event to be stored',
    })
    abort.abort()
    expect(
      await codesOf([sent, waiting, producer.publish({ n: 100 }, { signal: abort.signal })]),
    ).toEqual(['PUBLISH_UNKNOWN', 'ABORTED', 'ABORTED'])
    await proxy.heal()
    await producer.publish({ n: 2 })
    expect(await payloadsOf(redis.client(), KEY)).toEqual(numbers(3))
  })

  it('fails at once while the server is away, if that was asked for', async () => {
    using rig = openRig(redis.url, 60_000)
    await using producer = new Producer(rig.core, stream, { whenUnavailable: 'fail' })
    await producer.publish({ n: 0 })
    await redis.kill('SIGKILL')
    await waitFor(() => rig.core.connections.current('data', 'flights') === undefined, {
      describe: 'the end of the connection to be seen',
    })
    expect(await codesOf([producer.publish({ n: 100 }), producer.publishMany(numbers(2))])).toEqual(
      ['UNAVAILABLE', 'UNAVAILABLE'],
    )
    await redis.restart()
    await waitFor(() => producer.publish({ n: 100 }), {
      describe: 'the producer to find the server again',
    })
  })

  it('fails what waits when the connection is closed under it', async () => {
    const rig = openRig(proxy.url)
    await using producer = new Producer(rig.core, stream, { maxInFlightEvents: 1 })
    await producer.publish({ n: 0 })
    proxy.blackhole('toServer')
    const codes = codesOf([producer.publish({ n: 1 }), producer.publish({ n: 2 })])
    await new Promise((resolve) => setImmediate(resolve))
    rig[Symbol.dispose]()
    expect(await codes).toEqual(['PUBLISH_UNKNOWN', 'CLOSED'])
  })

  it('publishes the beginning of an array only, when it must give up on the way', async () => {
    using rig = openRig(proxy.url)
    await using producer = new Producer(rig.core, stream, { maxInFlightEvents: 512 })
    await producer.publish({ n: 0 })
    const abort = new AbortController()
    const off = channels.published.subscribe(() => {
      abort.abort()
    })
    const published = producer.publishMany(numbers(5_000).slice(1), { signal: abort.signal })
    await expect(published).rejects.toMatchObject({
      code: 'PUBLISH_UNKNOWN',
      message: expect.stringContaining('512 of 4999') as string,
    })
    off()
    await producer.publish({ n: -1 })
    const stored = (await payloadsOf(redis.client(), KEY)) as { n: number }[]
    const beginning = stored.slice(0, -1)
    expect(beginning).toEqual(numbers(beginning.length))
    expect(stored.at(-1)).toEqual({ n: -1 })
    expect(stored.length).toBeLessThan(2_000)
  })
})
