import { describe, expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { resolveConnectOptions } from '../../src/connection/options.ts'
import { createCore } from '../../src/core.ts'
import { channels } from '../../src/diagnostics.ts'
import {
  compareIds,
  defineStream,
  type EventStream,
  isMillraceError,
  type StreamOptions,
} from '../../src/index.ts'
import { removeReader } from '../../src/retention/remove.ts'
import { range, type Reading, useRedis } from '../open-millrace.ts'

const bed = useRedis()
const OFTEN = { sweepEveryMs: 100 } as const
const SELDOM = { sweepEveryMs: 3_600_000 } as const

function withRetention(retention: StreamOptions<Reading>['retention']): EventStream<Reading> {
  return defineStream<Reading>(bed.stream().name, { retention: retention ?? {} })
}

async function serverMs(): Promise<number> {
  return Number((await bed.redis.time())[0]) * 1_000
}

describe('The janitor', () => {
  it('sweeps a stream once in a period, however many processes have it open', async () => {
    const stream = bed.stream()
    await (await bed.open(SELDOM)).publish(stream, { n: 0 })
    const swept = bed.gather(channels.swept)
    const sinceMs = performance.now()
    for (const name of ['a', 'b', 'c', 'd', 'e']) {
      const millrace = await bed.open(OFTEN)
      millrace.consumer(stream, { name }).start(() => undefined)
      millrace.producer(stream)
    }
    await waitFor(() => swept.length >= 5, { describe: 'some sweeps' })
    expect(swept.length).toBeLessThanOrEqual(Math.ceil((performance.now() - sinceMs) / 100) + 1)
  })

  it.each(['producer', 'consumer', 'group'] as const)(
    'sweeps a quiet stream for a %s',
    async (what) => {
      const stream = withRetention({ maxAgeMs: 1 })
      await (await bed.open(SELDOM)).publish(
        stream,
        range(10).map((n) => ({ n })),
      )
      const millrace = await bed.open(OFTEN)
      if (what === 'producer') millrace.producer(stream)
      if (what === 'consumer') millrace.consumer(stream, { name: 'c' }).start(() => undefined)
      if (what === 'group') millrace.consumerGroup(stream, { name: 'g' }).start(() => undefined)
      await waitFor(async () => (await bed.redis.xlen(bed.key(stream))) === 0, {
        describe: 'an empty stream',
      })
    },
  )

  it('leaves streams alone that nobody has open any more', async () => {
    const stream = withRetention({ maxAgeMs: 1 })
    const millrace = await bed.open(OFTEN)
    const producer = millrace.producer(stream)
    await producer.publish({ n: 0 })
    await producer.close()
    const other = bed.stream()
    await millrace.publish(other, { n: 0 })
    const swept = bed.gather(channels.swept)
    await waitFor(() => swept.filter((fact) => fact.stream === other.name).length >= 3, {
      describe: 'sweeps',
    })
    expect(swept.filter((fact) => fact.stream === stream.name).length).toBeLessThanOrEqual(1)
  })

  it('bounds a stream under a consumer that does not keep up, and counts what it lost', async () => {
    const stream = withRetention({ maxLength: 500 })
    const millrace = await bed.open(OFTEN)
    const gate = Promise.withResolvers<void>()
    bed.onClose(() => gate.resolve())
    await millrace.consumer(stream, { name: 'stuck', maxInFlight: 10 }).start(() => gate.promise)
      .ready
    for (let n = 0; n < 10_000; n += 500)
      await millrace.publish(
        stream,
        range(500, n).map((m) => ({ n: m })),
      )
    await waitFor(async () => (await bed.redis.xlen(bed.key(stream))) === 500, {
      describe: 'the cap',
    })
    const { consumers, length, entriesAdded, trimmed, firstId } = await millrace.inspect(stream)
    expect(consumers[0]).toMatchObject({ expired: entriesAdded - length })
    expect(trimmed < firstId).toBe(true)
  })

  it('loses nothing of a slow consumer if unread events are kept', async () => {
    const stream = withRetention({ maxLength: 10, unread: 'keep' })
    const millrace = await bed.open(OFTEN)
    const seen: number[] = []
    const swept = bed.gather(channels.swept)
    const slow = millrace
      .consumer(stream, { name: 'slow', checkpointEvery: 10 })
      .start(async ({ data }) => {
        seen.push(data.n)
        if (data.n % 100 === 0) await new Promise(setImmediate)
      })
    // Before it is there, nothing of what is published is unread by anybody.
    await slow.ready
    for (let n = 0; n < 3_000; n += 100)
      await millrace.publish(
        stream,
        range(100, n).map((m) => ({ n: m })),
      )
    await waitFor(() => seen.length === 3_000, { describe: 'all events' })
    expect(seen).toEqual(range(3_000))
    await waitFor(async () => (await bed.redis.xlen(bed.key(stream))) === 10, {
      describe: 'the cap',
    })
    expect(swept.every(({ unread }) => unread === 0)).toBe(true)
  })

  it('never passes a consumer or group that is made further back meanwhile', async () => {
    const stream = withRetention({ maxLength: 300, unread: 'keep' })
    const millrace = await bed.open(OFTEN)
    const swept = bed.gather(channels.swept)
    await millrace.publish(
      stream,
      range(500).map((n) => ({ n })),
    )
    const producing = new AbortController()
    const publishing = (async () => {
      while (!producing.signal.aborted)
        await millrace.publish(
          stream,
          range(20).map((n) => ({ n })),
        )
    })()
    try {
      for (const round of range(6)) {
        await waitFor(async () => (await millrace.inspect(stream)).trimmed !== '', {
          describe: 'trimming',
        })
        const { firstId } = await millrace.inspect(stream)
        const options = { name: `made-${round}`, from: { id: firstId } }
        const made =
          round % 2 === 0
            ? millrace.consumerGroup(stream, options)
            : millrace.consumer(stream, options)
        made.pause()
        made.start(() => undefined)
        await made.ready
        const { trimmed } = await millrace.inspect(stream)
        const soFar = swept.length
        await waitFor(() => swept.length > soFar + 2, { describe: 'some sweeps' })
        const later = (await millrace.inspect(stream)).trimmed
        // What had gone before it was made stays the last that went, or it begins behind what went.
        expect(later === trimmed || compareIds(later, firstId) <= 0).toBe(true)
        await made.close()
        if (round % 2 === 0) await millrace.removeConsumerGroup(stream, options.name)
        else await millrace.removeConsumer(stream, options.name)
      }
    } finally {
      producing.abort()
      await publishing
    }
  })

  it('says once that it may not sweep, and leaves that to others', async () => {
    const stream = bed.stream()
    await bed.redis.call(
      'acl',
      'setuser',
      'limited',
      'reset',
      'on',
      '>secret',
      '~*',
      '+@all',
      '-xpending',
      '-xinfo|groups',
    )
    const failures = bed.gather(channels.loopFailed)
    const limited = await bed.open(
      OFTEN,
      bed.server.url.replace('redis://', 'redis://limited:secret@'),
    )
    await limited.publish(stream, { n: 0 })
    await waitFor(() => failures.some(({ loop }) => loop === 'janitor'), {
      describe: 'the refusal',
    })
    await limited.publish(stream, { n: 1 })
    const swept = bed.gather(channels.swept)
    await (await bed.open(OFTEN)).publish(stream, { n: 2 })
    await waitFor(() => swept.length > 3, { describe: 'sweeps of others' })
    expect(failures.filter(({ loop }) => loop === 'janitor')).toHaveLength(1)
  })
})

describe('Whoever is abandoned', () => {
  /** A consumer and a group that were last heard of long ago. */
  async function abandon(stream: EventStream<Reading>): Promise<void> {
    const millrace = await bed.open(SELDOM)
    await millrace.publish(stream, { n: 0 })
    await millrace.consumer(stream, { name: 'left', leaseMs: 500 }).start(() => undefined).ready
    await millrace.consumerGroup(stream, { name: 'gone' }).start(() => undefined).ready
    await millrace.close()
    await bed.redis.xgroup('CREATE', bed.key(stream), 'theirs', '0')
    for (const name of ['left', 'gone']) {
      await bed.redis.hset(
        `${bed.key(stream)}:state:${name}`,
        'active',
        (await serverMs()) - 8 * 86_400_000,
      )
    }
    await bed.redis.hset(`${bed.key(stream)}:meta`, 'foreign:theirs', '0|0-0|0|1000')
  }

  it('is reported once, and stays', async () => {
    const stream = bed.stream()
    await abandon(stream)
    const abandoned = bed.gather(channels.abandoned)
    const swept = bed.gather(channels.swept)
    const millrace = await bed.open(OFTEN)
    millrace.producer(stream)
    await waitFor(() => swept.length >= 4, { describe: 'some sweeps' })
    expect(abandoned.map(({ name, kind }) => `${name} ${kind}`).toSorted()).toEqual([
      'gone group',
      'left consumer',
      'theirs foreign',
    ])
    const report = await millrace.inspect(stream)
    expect(report.consumers[0]?.activeMs).toBe(
      abandoned.find(({ name }) => name === 'left')?.activeMs,
    )
    expect(report.groups.map(({ name, activeMs }) => [name, activeMs])).toContainEqual([
      'theirs',
      1_000,
    ])
  })

  it('is not, once it comes back', async () => {
    const stream = bed.stream()
    await abandon(stream)
    const millrace = await bed.open(SELDOM)
    await millrace.consumer(stream, { name: 'left' }).start(() => undefined).ready
    await millrace.consumerGroup(stream, { name: 'gone' }).start(() => undefined).ready
    const abandoned = bed.gather(channels.abandoned)
    const swept = bed.gather(channels.swept)
    ;(await bed.open(OFTEN)).producer(stream)
    await waitFor(() => swept.length >= 2, { describe: 'some sweeps' })
    expect(abandoned.map(({ name }) => name)).toEqual(['theirs'])
  })

  it('is removed if its owner asked for that, but no group of others', async () => {
    const stream = withRetention({ abandoned: 'remove', unread: 'keep', maxAgeMs: 1 })
    await abandon(stream)
    const millrace = await bed.open(OFTEN)
    millrace.producer(stream)
    await waitFor(async () => (await millrace.inspect(stream)).consumers.length === 0, {
      describe: 'its end',
    })
    await waitFor(async () => (await millrace.inspect(stream)).groups.length === 1, {
      describe: 'its end',
    })
    expect((await bed.redis.keys(`${bed.key(stream)}*`)).toSorted()).toEqual(
      ['', ':meta', ':producers'].map((suffix) => bed.key(stream) + suffix),
    )
  })

  it('is removed by a later sweep if it could not be at first, and keeps nobody from sweeping', async () => {
    const stream = withRetention({ abandoned: 'remove', unread: 'keep', maxAgeMs: 1 })
    await abandon(stream)
    const acl = async (...rules: readonly string[]): Promise<unknown> =>
      await bed.redis.call('acl', 'setuser', 'careful', ...rules)
    await acl('reset', 'on', '>secret', '~*', '+@all', '-unlink')
    const failures = bed.gather(channels.loopFailed)
    const abandoned = bed.gather(channels.abandoned)
    const swept = bed.gather(channels.swept)
    const url = bed.server.url.replace('redis://', 'redis://careful:secret@')
    const millrace = await bed.open(OFTEN, url)
    millrace.producer(stream)
    await waitFor(() => swept.length >= 4, { describe: 'some sweeps' })
    const told = failures.filter(({ loop }) => loop === 'janitor')
    expect(told.map(({ error }) => isMillraceError(error) && error.code)).toEqual([
      'PERMISSION_DENIED',
      'PERMISSION_DENIED',
    ])
    expect((await millrace.inspect(stream)).consumers).toHaveLength(1)
    await acl('+unlink')
    await waitFor(
      async () => {
        const { consumers, groups } = await millrace.inspect(stream)
        return consumers.length === 0 && groups.length === 1
      },
      { describe: 'its end' },
    )
    expect(abandoned).toHaveLength(3)
  })

  it('stays if it has come, worked and gone again since it was found', async () => {
    const stream = withRetention({ abandoned: 'remove' })
    await abandon(stream)
    const core = createCore(resolveConnectOptions(bed.server.url, {}))
    bed.onClose(() => {
      core.connections.close()
    })
    const before = (await serverMs()) - 8 * 86_400_000
    const millrace = await bed.open(SELDOM)
    await millrace.consumer(stream, { name: 'left' }).start(() => undefined).ready
    await millrace.consumerGroup(stream, { name: 'gone' }).start(() => undefined).ready
    await millrace.close()
    expect(await removeReader(core, stream, 'left', 'consumer', {}, before)).toBe(false)
    expect(await removeReader(core, stream, 'gone', 'group', {}, before)).toBe(false)
    const { consumers } = await (await bed.open(SELDOM)).inspect(stream)
    expect(consumers.map(({ name }) => name)).toEqual(['left'])
    expect(
      await removeReader(core, stream, 'left', 'consumer', {}, (await serverMs()) + 60_000),
    ).toBe(true)
  })
})

describe('Removing a consumer or consumer group', () => {
  it('leaves nothing of it behind, and ends its claim on events', async () => {
    const stream = withRetention({ unread: 'keep', maxAgeMs: 1 })
    const millrace = await bed.open(SELDOM)
    await millrace.publish(stream, { n: 0 })
    await millrace.consumer(stream, { name: 'c' }).start(() => undefined).ready
    await millrace.consumerGroup(stream, { name: 'g' }).start(() => undefined).ready
    await millrace.close()
    const other = await bed.open(SELDOM)
    expect(await other.removeConsumer(stream, 'c')).toBe(true)
    expect(await other.removeConsumerGroup(stream, 'g')).toBe(true)
    expect(await other.removeConsumer(stream, 'c')).toBe(false)
    expect(await bed.redis.xinfo('GROUPS', bed.key(stream))).toEqual([])
    expect(Object.keys(await bed.redis.hgetall(`${bed.key(stream)}:meta`))).not.toContain('name:c')
    expect(await bed.redis.exists(`${bed.key(stream)}:state:c`, `${bed.key(stream)}:state:g`)).toBe(
      0,
    )
  })

  it('refuses one that is at work, and one of the other kind', async () => {
    const stream = bed.stream()
    const millrace = await bed.open(SELDOM)
    await millrace.consumer(stream, { name: 'c', leaseMs: 500 }).start(() => undefined).ready
    await millrace.consumerGroup(stream, { name: 'g', leaseMs: 500 }).start(() => undefined).ready
    const inUse = { code: 'NAME_IN_USE' }
    await expect(millrace.removeConsumer(stream, 'c')).rejects.toMatchObject(inUse)
    await expect(millrace.removeConsumerGroup(stream, 'g')).rejects.toMatchObject(inUse)
    await expect(millrace.removeConsumer(stream, 'g')).rejects.toMatchObject(inUse)
    expect(await bed.redis.exists(`${bed.key(stream)}:state:c`)).toBe(1)
  })

  it('removes one whose holder has died, after a lease', async () => {
    const stream = bed.stream()
    const millrace = await bed.open(SELDOM)
    await millrace.consumer(stream, { name: 'c', leaseMs: 500 }).start(() => undefined).ready
    await millrace.close()
    // As a process leaves it that was killed.
    await bed.redis.hset(`${bed.key(stream)}:state:c`, 'released', '0')
    const other = await bed.open(SELDOM)
    expect(await other.removeConsumer(stream, 'c')).toBe(true)
  })

  it('keeps its dead letters unless they are to go', async () => {
    const stream = bed.stream()
    const millrace = await bed.open(SELDOM)
    await millrace.publish(stream, { n: 0 })
    const consumer = millrace.consumer(stream, { name: 'c', maxAttempts: 1 }).start(() => {
      throw new Error('never')
    })
    const dead = `${bed.key(stream)}:dead:c`
    await waitFor(async () => (await bed.redis.exists(dead)) === 1, { describe: 'the dead letter' })
    await consumer.close()
    await millrace.removeConsumer(stream, 'c')
    expect(await bed.redis.xlen(dead)).toBe(1)
    await millrace.consumer(stream, { name: 'c', from: 'latest' }).start(() => undefined).ready
    await millrace.close()
    await (await bed.open(SELDOM)).removeConsumer(stream, 'c', { discardDeadLetters: true })
    expect(await bed.redis.exists(dead)).toBe(0)
  })
})
