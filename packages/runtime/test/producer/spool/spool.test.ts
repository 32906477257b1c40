import {
  type FaultProxy,
  type RedisServer,
  startFaultProxy,
  startRedis,
  waitFor,
} from '@millrace/testkit'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { channels, type SpoolAdopted, type SpoolChanged } from '../../../src/diagnostics.ts'
import { isMillraceError } from '../../../src/errors.ts'
import type { ProducerOptions } from '../../../src/producer/options.ts'
import { Producer } from '../../../src/producer/producer.ts'
import { entriesOf, numbers, openRig, payloadsOf } from '../rig.ts'
import {
  KEY,
  type SpoolDirectory,
  spoolDirectory,
  spoolingProducer,
  storedOf,
  stream,
} from './spool-rig.ts'

describe('the spool of a producer', () => {
  let redis: RedisServer
  let proxy: FaultProxy
  let directory: SpoolDirectory

  beforeEach(async () => {
    redis = await startRedis({ persistence: true })
    proxy = await startFaultProxy(redis)
    directory = spoolDirectory()
  })
  afterEach(async () => {
    await proxy[Symbol.asyncDispose]()
    await redis[Symbol.asyncDispose]()
    directory[Symbol.dispose]()
  })

  const inStream = (count: number): Promise<unknown> =>
    waitFor(async () => (await redis.client().xlen(KEY)) >= count, {
      describe: `${count} events in the stream`,
    })

  it('is not used while Redis answers', async () => {
    using rig = openRig(redis.url)
    await using producer = spoolingProducer(rig.core, directory.path, { afterMs: 60_000 })
    expect(storedOf(await producer.publishMany(numbers(5_000)))).not.toContain('spool')
    await producer.close()
    expect(directory.files()).toEqual([])
  })

  it('takes events while Redis is away, and sends them in order when it is back', async () => {
    using rig = openRig(redis.url)
    await using producer = spoolingProducer(rig.core, directory.path)
    const changes: SpoolChanged[] = []
    using _ = { [Symbol.dispose]: channels.spoolChanged.subscribe((fact) => changes.push(fact)) }
    await producer.publish({ n: 0 })
    await redis.kill('SIGKILL')
    const results = await Promise.all(
      numbers(1_000)
        .slice(1)
        .map((event) => producer.publish(event)),
    )
    expect(new Set(storedOf(results))).toEqual(new Set(['spool']))
    expect(Math.max(...changes.map(({ events }) => events))).toBeGreaterThanOrEqual(999)
    await redis.restart()
    await inStream(1_000)
    await waitFor(async () => (await producer.publish({ n: -1 })).stored === 'stream', {
      describe: 'events to go to the stream directly again',
    })
    const stored = (await payloadsOf(redis.client(), KEY)) as { n: number }[]
    expect(stored.slice(0, 1_000)).toEqual(numbers(1_000))
    await producer.close()
    expect(changes.at(-1)).toMatchObject({ events: 0, bytes: 0, oldestAgeMs: 0 })
    expect(directory.files()).toEqual([])
  })

  it('begins with the first event whose outcome is not known, and stores none twice', async () => {
    using rig = openRig(proxy.url)
    await using producer = spoolingProducer(rig.core, directory.path)
    await producer.publish({ n: 0 })
    proxy.blackhole('toClient')
    const underWay = producer.publishMany(numbers(3_001).slice(1))
    const behind = producer.publish({ n: 3_001 })
    expect(new Set(storedOf([...(await underWay), await behind]))).toEqual(new Set(['spool']))
    proxy.resetAll()
    await proxy.heal()
    await inStream(3_002)
    await producer.close()
    expect(await payloadsOf(redis.client(), KEY)).toEqual(numbers(3_002))
  })

  it('keeps what is only in it when it is closed, for the next process, which sends that first', async () => {
    using rig = openRig(redis.url, 30_000)
    await redis.kill('SIGKILL')
    for (const first of [0, 10, 20]) {
      const producer = spoolingProducer(rig.core, directory.path)
      const results = await producer.publishMany(numbers(first + 10).slice(first))
      expect(new Set(storedOf(results))).toEqual(new Set(['spool']))
      await producer.close()
    }
    expect(directory.files()).toHaveLength(3)
    const adopted: SpoolAdopted[] = []
    using _ = { [Symbol.dispose]: channels.spoolAdopted.subscribe((fact) => adopted.push(fact)) }
    await redis.restart()
    await using producer = spoolingProducer(rig.core, directory.path)
    await producer.publish({ n: 30 })
    await inStream(31)
    await producer.close()
    expect(adopted.map(({ events }) => events)).toEqual([10, 10, 10])
    expect(await payloadsOf(redis.client(), KEY)).toEqual(numbers(31))
    expect(directory.files()).toEqual([])
    // One epoch for each process, whatever became of it.
    expect(await redis.client().hlen(`${KEY}:producers`)).toBe(4)
  })

  it('sends events of its own only after those of earlier processes, also over the disk', async () => {
    using rig = openRig(proxy.url, 30_000)
    await using earlier = spoolingProducer(rig.core, directory.path)
    proxy.blackhole('toServer')
    await earlier.publishMany(numbers(2_000))
    await earlier.close()
    await using producer = spoolingProducer(rig.core, directory.path)
    const results = await producer.publishMany(numbers(3_000).slice(2_000))
    expect(new Set(storedOf(results))).toEqual(new Set(['spool']))
    proxy.resetAll()
    await proxy.heal()
    await inStream(3_000)
    await producer.close()
    expect(await payloadsOf(redis.client(), KEY)).toEqual(numbers(3_000))
  })

  it('leaves the file of a producer that is at work alone, and takes it over when that has ended', async () => {
    using rig = openRig(proxy.url, 30_000)
    proxy.blackhole('toServer')
    await using first = spoolingProducer(rig.core, directory.path)
    await using second = spoolingProducer(rig.core, directory.path)
    await first.publishMany(numbers(10))
    await second.publishMany(numbers(20).slice(10))
    expect(directory.files()).toHaveLength(2)
    await first.close()
    const adopted: number[] = []
    using _ = {
      [Symbol.dispose]: channels.spoolAdopted.subscribe(({ events }) => adopted.push(events)),
    }
    proxy.resetAll()
    await proxy.heal()
    await inStream(20)
    await second.close()
    expect(adopted).toEqual([10])
    const stored = (await payloadsOf(redis.client(), KEY)) as { n: number }[]
    // Each of the two in its own order.
    expect(stored.filter(({ n }) => n < 10)).toEqual(numbers(10))
    expect(stored.filter(({ n }) => n >= 10)).toEqual(numbers(20).slice(10))
    expect(directory.files()).toEqual([])
  })

  it('refuses a call that does not fit as a whole, and takes smaller ones', async () => {
    using rig = openRig(proxy.url, 30_000)
    proxy.blackhole('toServer')
    await using producer = spoolingProducer(rig.core, directory.path, { maxBytes: 10_000 })
    const size = 'data{"n":1}'.length
    const fits = Math.floor(10_000 / (size + 3))
    const fitting = await producer.publishMany(numbers(fits))
    expect(new Set(storedOf(fitting))).toEqual(new Set(['spool']))
    await expect(producer.publishMany(numbers(500))).rejects.toMatchObject({ code: 'SPOOL_FULL' })
    await producer.publish({ n: fits })
    proxy.resetAll()
    await proxy.heal()
    await inStream(fits + 1)
    expect(await payloadsOf(redis.client(), KEY)).toEqual(numbers(fits + 1))
    await waitFor(async () => (await producer.publish({ n: -1 })).stored === 'stream', {
      describe: 'room',
    })
  })

  it('goes on under a new epoch with what Redis has forgotten', async () => {
    using rig = openRig(proxy.url, 30_000)
    await using producer = spoolingProducer(rig.core, directory.path)
    await producer.publishMany(numbers(100))
    await inStream(100)
    proxy.blackhole('toServer')
    await producer.publishMany(numbers(1_500).slice(100))
    await redis.client().flushall()
    proxy.resetAll()
    await proxy.heal()
    await inStream(1_400)
    await producer.close()
    expect(await payloadsOf(redis.client(), KEY)).toEqual(numbers(1_500).slice(100))
  })

  it('takes events while Redis is out of memory', async () => {
    using rig = openRig(redis.url, 60_000)
    await using producer = spoolingProducer(rig.core, directory.path)
    await producer.publish({ n: 0 })
    await redis.client().config('SET', 'maxmemory', '1')
    const results = await producer.publishMany(numbers(100).slice(1))
    expect(new Set(storedOf(results))).toEqual(new Set(['spool']))
    await redis.client().config('SET', 'maxmemory', '0')
    await inStream(100)
    await producer.close()
    expect((await entriesOf(redis.client(), KEY)).length).toBe(100)
  })

  it('says that the outcome is unknown when an event is given up on its way to the disk', async () => {
    using rig = openRig(proxy.url, 60_000)
    await using producer = spoolingProducer(rig.core, directory.path, { afterMs: 10_000 })
    await producer.publish({ n: 0 })
    proxy.blackhole('toServer')
    await expect(producer.publish({ n: 1 }, { deadlineMs: 30 })).rejects.toMatchObject({
      code: 'PUBLISH_UNKNOWN',
    })
    proxy.resetAll()
    await proxy.heal()
  })

  it('gives nothing away that is too old, and keeps it', async () => {
    using rig = openRig(redis.url, 30_000)
    await redis.kill('SIGKILL')
    const producer = spoolingProducer(rig.core, directory.path)
    await producer.publishMany(numbers(10))
    await producer.close()
    await redis.restart()
    const impatient = spoolingProducer(rig.core, directory.path, { maxAgeMs: 1 })
    await expect(impatient.publish({ n: 10 })).rejects.toMatchObject({ code: 'SPOOL_EXPIRED' })
    await expect(impatient.publish({ n: 10 })).rejects.toMatchObject({ code: 'SPOOL_EXPIRED' })
    await impatient.close()
    expect(directory.files()).toHaveLength(1)
    await using patient = spoolingProducer(rig.core, directory.path)
    await patient.publish({ n: 10 })
    await inStream(11)
    expect(await payloadsOf(redis.client(), KEY)).toEqual(numbers(11))
  })

  it('sends what earlier processes have left without an event of its own', async () => {
    using rig = openRig(redis.url, 30_000)
    await redis.kill('SIGKILL')
    const earlier = spoolingProducer(rig.core, directory.path)
    await earlier.publishMany(numbers(10))
    await earlier.close()
    await redis.restart()
    await using producer = spoolingProducer(rig.core, directory.path).start()
    await inStream(10)
    await producer.close()
    expect(directory.files()).toEqual([])
  })

  it('is refused without a producer id, without a directory, and where it would not be used', () => {
    using rig = openRig(redis.url)
    const refusal =
      (options: ProducerOptions): (() => unknown) =>
      () =>
        new Producer(rig.core, stream, options)
    const { path } = directory
    expect(refusal({ whenUnavailable: 'spool' })).toThrow(/spool must be given.*producerId must be/)
    expect(refusal({ producerId: 'tower', spool: { directory: path } })).toThrow(
      /spool is only for/,
    )
    const spool = { directory: '', maxBytes: 0, maxAgeMs: 8 * 24 * 3_600_000, afterMs: 1 }
    expect(refusal({ producerId: 'tower', whenUnavailable: 'spool', spool })).toThrow(
      /spool.directory.*spool.maxBytes.*spool.maxAgeMs.*spool.afterMs/,
    )
  })

  it('is left alone when the connection is closed under it, and publishing ends at once', async () => {
    const rig = openRig(redis.url, 30_000)
    await redis.kill('SIGKILL')
    const producer = spoolingProducer(rig.core, directory.path)
    await producer.publishMany(numbers(10))
    rig[Symbol.dispose]()
    await waitFor(
      async () => {
        const outcome = await producer.publish({ n: 10 }).catch((error: unknown) => error)
        return isMillraceError(outcome, 'CLOSED')
      },
      { describe: 'the producer to see that its connection was closed' },
    )
    await producer.close()
    expect(directory.files()).toHaveLength(1)
  })
})
