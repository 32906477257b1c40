import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { resolveConnectOptions, type ConnectOptions } from '../../src/connection/options.ts'
import { type Core, createCore } from '../../src/core.ts'
import { channels } from '../../src/diagnostics.ts'
import { defineStream, type EventStream } from '../../src/index.ts'
import type { Codec } from '../../src/stream/codec.ts'
import { type Decode, decoderOf } from '../../src/stream/decode.ts'
import { compareIds } from '../../src/stream/stream-id.ts'
import type { StreamFeed } from '../../src/tail/stream-feed.ts'
import type { Subscription } from '../../src/tail/subscription.ts'
import { Tails } from '../../src/tail/tails.ts'
import { range, type Reading, useRedis } from '../open-millrace.ts'
import { Probe } from './probe.ts'

const bed = useRedis()

/** What one process reads with. */
function openTails(
  options: ConnectOptions = {},
  url = bed.server.url,
): { core: Core; tails: Tails } {
  const core = createCore(resolveConnectOptions(url, { blockMs: 500, ...options }))
  const tails = new Tails(core)
  bed.onClose(async () => {
    await tails.close()
    core.connections.close()
  })
  return { core, tails }
}

/** A stream that Millrace knows, with the feed of this process. */
async function openFeed(tails: Tails, stream: EventStream<never, unknown>): Promise<StreamFeed> {
  await bed.redis.hset(`${bed.key(stream)}:meta`, {
    incarnation: 'first',
    format: 1,
    partitions: 1,
    tag: stream.name,
  })
  return tails.feed(stream)
}

async function joined({ subscription }: { readonly subscription: Subscription }): Promise<void> {
  await waitFor(() => subscription.state === 'joined', { describe: 'the subscription to join' })
}

/** The number of commands of this kind that the server has run. */
async function callsOf(command: string): Promise<number> {
  const stats = String(await bed.redis.info('commandstats'))
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0)
}

describe('The tail of a process', () => {
  it('puts its reads off at the server while events flow steadily, and misses none', async () => {
    const { tails } = openTails()
    const stream = bed.stream()
    const other = bed.stream()
    const feed = await openFeed(tails, stream)
    const otherFeed = await openFeed(tails, other)
    const probe = new Probe(feed, decoderOf(stream), { latencyBudgetMs: 20 })
    feed.adopt('first')
    probe.subscription.resume('0-0')
    await joined(probe)
    const ids: string[] = []
    const flowUntil = async (isDone: () => boolean | Promise<boolean>): Promise<void> => {
      do {
        ids.push(...(await bed.append(stream, 1, { first: ids.length })))
        await sleep(2)
      } while (!(await isDone()))
    }
    let reads = 0
    const count = (): void => {
      reads += 1
    }
    bed.onClose(channels.tailRead.subscribe(count))
    const before = await callsOf('xread')
    // One that is put off is two commands for the server.
    const isPutOff = async (): Promise<boolean> => (await callsOf('xread')) > before + reads + 5
    await flowUntil(isPutOff)
    // One that comes meanwhile does not wait for it.
    const late = new Probe(otherFeed, decoderOf(other), { latencyBudgetMs: 20 })
    otherFeed.adopt('first')
    late.subscription.resume('0-0')
    await joined(late)
    const [id] = await bed.append(other, 1)
    await flowUntil(() => late.ids.length === 1)
    expect(late.ids).toEqual([id])
    await waitFor(() => probe.ids.length === ids.length, { describe: 'all events' })
    expect(probe.ids).toEqual(ids)
    expect(await bed.redis.exists(`${bed.key(stream)}:empty`)).toBe(0)
  })

  it('hands over every event in order while subscriptions leave and join', async () => {
    const { tails } = openTails()
    const stream = bed.stream()
    const feed = await openFeed(tails, stream)
    const decode = decoderOf(stream)
    // Some take everything at once, some have little credit and give it back late, some come and go.
    const probes = [
      new Probe(feed, decode),
      new Probe(feed, decode, { creditEvents: 50 }),
      new Probe(feed, decode, { creditEvents: 20, takes: false }),
      new Probe(feed, decode, { creditEvents: 500, takes: false }),
      new Probe(feed, slowly(decode), { creditEvents: 100 }),
      new Probe(feed, slowly(decode), { creditEvents: 8 }),
    ]
    feed.adopt('first')
    for (const { subscription } of probes) subscription.resume('0-0')
    const ids: string[] = []
    for (const round of range(60)) {
      ids.push(...(await bed.append(stream, 1 + ((round * 37) % 90), { first: ids.length })))
      for (const [i, probe] of probes.entries()) {
        if (!probe.takes) probe.giveBack((round * 13 + i) % 70)
        // Suspended and resumed at its own position, as after an interruption.
        if ((round + i) % 17 === 0) probe.subscription.resume(probe.ids.at(-1) ?? '0-0')
      }
    }
    await waitFor(
      () => {
        for (const probe of probes) if (!probe.takes) probe.giveBack(10)
        return probes.every((probe) => probe.ids.length >= ids.length)
      },
      { describe: 'all events to come' },
    )
    for (const probe of probes) expect(probe.ids).toEqual(ids)
  })

  it('loses nothing when the last member leaves and a slower one joins while a read is outstanding', async () => {
    await bed.redis.acl('SETUSER', 'quiet', 'on', '>pw', '~*', '&*', '+@all', '-client|unblock')
    const { tails } = openTails({}, bed.server.url.replace('redis://', 'redis://quiet:pw@'))
    const stream = bed.stream()
    const feed = await openFeed(tails, stream)
    const decode = decoderOf(stream)
    const gate = Promise.withResolvers<void>()
    const ids = await bed.append(stream, 10)
    const fast = new Probe(feed, decode)
    const slow = new Probe(feed, async (entry, incarnation) => {
      await gate.promise
      return await decode(entry, incarnation)
    })
    feed.adopt('first')
    fast.subscription.resume('0-0')
    await joined(fast)
    // The slow one has a page up to event 10 in its hands, while the tail goes on to event 20.
    const pages = await callsOf('xrange')
    slow.subscription.resume('0-0')
    await waitFor(async () => (await callsOf('xrange')) > pages, { describe: 'the page' })
    ids.push(...(await bed.append(stream, 10, { first: 10 })))
    await waitFor(() => fast.ids.length === 20, { describe: 'the tail' })
    await waitFor(async () => / cmd=xread /.test(String(await bed.redis.client('LIST'))), {
      describe: 'the next read',
    })
    fast.subscription.close()
    gate.resolve()
    await joined(slow)
    ids.push(...(await bed.append(stream, 1, { first: 20 })))
    await waitFor(() => slow.ids.at(-1) === ids.at(-1), { describe: 'the last event' })
    expect(slow.ids).toEqual(ids)
  })

  it('reads a stream that is added while the tail blocks', async () => {
    const { tails } = openTails({ blockMs: 30_000 })
    const first = bed.stream()
    const feed = await openFeed(tails, first)
    const probe = new Probe(feed, decoderOf(first))
    feed.adopt('first')
    probe.subscription.resume('0-0')
    await joined(probe)
    // Many at once and one by one: each must be in the read at once, whichever was being ended when it came.
    for (const size of [1, 1, 3, 1, 10, 1, 1, 2]) {
      const added = await Promise.all(
        range(size).map(async () => {
          const stream = bed.stream()
          const next = await openFeed(tails, stream)
          const one = new Probe(next, decoderOf(stream))
          next.adopt('first')
          one.subscription.resume('0-0')
          return { stream, one }
        }),
      )
      await Promise.all(added.map(({ one }) => joined(one)))
      for (const { stream } of added) await bed.append(stream, 1)
      await waitFor(() => added.every(({ one }) => one.ids.length === 1), {
        describe: 'events of the added streams',
      })
    }
  })

  it('ends a blocked read again and again when streams come one after the other', async () => {
    const { tails } = openTails({ blockMs: 30_000 })
    const probes: Probe<never>[] = []
    const streams = range(60).map(() => bed.stream())
    for (const stream of streams) {
      const feed = await openFeed(tails, stream)
      const probe = new Probe(feed, decoderOf(stream) as Decode<never>)
      feed.adopt('first')
      probes.push(probe)
      probe.subscription.resume('0-0')
      // No wait for the join: the next stream comes while the read is being ended for this one.
      for (let turns = 0; turns < probes.length % 7; turns++) await new Promise(setImmediate)
    }
    await Promise.all(probes.map(joined))
    for (const stream of streams) await bed.append(stream, 1)
    await waitFor(() => probes.every(({ ids }) => ids.length === 1), {
      describe: 'an event of each stream',
    })
  })

  it('reads an added stream within a quarter of a second where it may not end a blocked read', async () => {
    await bed.redis.acl('SETUSER', 'quiet', 'on', '>pw', '~*', '&*', '+@all', '-client|unblock')
    const { tails } = openTails({}, bed.server.url.replace('redis://', 'redis://quiet:pw@'))
    const streams = [bed.stream(), bed.stream(), bed.stream()]
    const reads = bed.gather(channels.tailRead)
    for (const stream of streams) {
      const feed = await openFeed(tails, stream)
      const probe = new Probe(feed, decoderOf(stream))
      feed.adopt('first')
      probe.subscription.resume('0-0')
      await waitFor(() => probe.subscription.state === 'joined', {
        describe: 'the subscription to join',
      })
      await bed.append(stream, 1)
      await waitFor(() => probe.ids.length === 1, { describe: 'its event' })
    }
    await waitFor(() => reads.at(-1)?.streams === 3, { describe: 'one read of all three' })
  })

  it('interrupts every member when the connection ends', async () => {
    const { tails } = openTails()
    const stream = bed.stream()
    const feed = await openFeed(tails, stream)
    const probes = range(5).map(() => new Probe(feed, decoderOf(stream)))
    feed.adopt('first')
    for (const { subscription } of probes) subscription.resume('0-0')
    await Promise.all(probes.map(joined))
    const id = await waitFor(async () => (await bed.clients('tail'))[0], { describe: 'the tail' })
    await bed.redis.client('KILL', 'ID', id)
    await waitFor(() => probes.every(({ interruptions }) => interruptions.length === 1), {
      describe: 'the interruption',
    })
    expect(probes.map(({ subscription }) => subscription.state)).toEqual(
      probes.map(() => 'suspended'),
    )
    const ids = await bed.append(stream, 3)
    for (const { subscription } of probes) subscription.resume('0-0')
    await waitFor(() => probes.every((probe) => probe.ids.length === 3), { describe: 'the events' })
    for (const probe of probes) expect(probe.ids).toEqual(ids)
  })

  it('decodes an event once for all consumers of a definition', async () => {
    const { tails } = openTails()
    let decoded = 0
    const codec: Codec = {
      name: 'counted',
      binary: false,
      encode: (value) => JSON.stringify(value),
      decode: (stored) => {
        decoded++
        return JSON.parse(String(stored))
      },
    }
    const stream = defineStream<Reading>('counted', { codec })
    const feed = await openFeed(tails, stream)
    const probes = range(50).map(() => new Probe(feed, decoderOf(stream)))
    feed.adopt('first')
    await bed.append(stream, 20)
    for (const { subscription } of probes) subscription.resume('0-0')
    await Promise.all(probes.map(joined))
    await bed.append(stream, 20, { first: 20 })
    await waitFor(() => probes.every((probe) => probe.ids.length === 40), {
      describe: 'the events',
    })
    expect(decoded).toBe(40)
    expect(new Set(probes.map(({ events }) => events[30])).size).toBe(1)
    expect(Object.isFrozen(probes[0]?.events[30]?.data)).toBe(true)
  })

  it('keeps the order where a schema takes its time', async () => {
    const { tails } = openTails()
    const stream = bed.stream()
    const feed = await openFeed(tails, stream)
    const probe = new Probe(feed, slowly(decoderOf(stream)))
    feed.adopt('first')
    probe.subscription.resume('0-0')
    await joined(probe)
    const ids: string[] = []
    for (const round of range(20)) ids.push(...(await bed.append(stream, 7, { first: round * 7 })))
    await waitFor(() => probe.ids.length === ids.length, { describe: 'the events' })
    expect(probe.ids).toEqual(ids)
  })

  it('reads bytes as they were stored, also beside a stream of text', async () => {
    const { tails } = openTails()
    const bytes: Codec = {
      name: 'bytes',
      binary: true,
      encode: (value) => value as Uint8Array,
      decode: (stored) => Buffer.from(stored),
    }
    const binary = defineStream<Uint8Array>('bytes', { codec: bytes })
    const text = bed.stream()
    const feeds = [await openFeed(tails, binary), await openFeed(tails, text)] as const
    const probes = [
      new Probe(feeds[0], decoderOf(binary)),
      new Probe(feeds[1], decoderOf(text)),
    ] as const
    for (const feed of feeds) feed.adopt('first')
    for (const { subscription } of probes) subscription.resume('0-0')
    const wild = Buffer.from(range(256))
    await bed.redis.xadd(bed.key(binary), '*', 'data', wild)
    await waitFor(
      () => probes[0].subscription.state === 'joined' && probes[1].subscription.state === 'joined',
      {
        describe: 'both to join',
      },
    )
    await bed.redis.xadd(bed.key(binary), '*', 'data', wild, 'key', 'ü')
    await bed.append(text, 1)
    await waitFor(() => probes[0].events.length === 2 && probes[1].events.length === 1, {
      describe: 'the events',
    })
    expect(probes[0].events.map(({ data }) => Buffer.compare(data, wild))).toEqual([0, 0])
    expect(probes[0].events[1]?.key).toBe('ü')
    expect(probes[1].events[0]?.data).toEqual({ n: 0 })
  })

  it('lets a slow consumer fall behind without delaying a fast one', async () => {
    const { tails } = openTails()
    const stream = bed.stream()
    const feed = await openFeed(tails, stream)
    const slow = new Probe(feed, decoderOf(stream), { creditEvents: 100, takes: false })
    const fast = new Probe(feed, decoderOf(stream))
    feed.adopt('first')
    for (const { subscription } of [slow, fast]) subscription.resume('0-0')
    await joined(slow)
    await joined(fast)
    const ids: string[] = []
    while (ids.length < 20_000)
      ids.push(...(await bed.append(stream, 2_000, { first: ids.length })))
    await waitFor(() => fast.ids.length === ids.length, { describe: 'the fast one' })
    // Its credit, and one batch beyond it.
    expect(slow.ids.length).toBeLessThanOrEqual(600)
    slow.takes = true
    slow.giveBack(slow.held)
    await waitFor(() => slow.ids.length === ids.length, { describe: 'the slow one' })
    await joined(slow)
    expect(slow.ids).toEqual(ids)
  })

  it('lets nobody starve behind those who hold the whole read-ahead budget', async () => {
    const { tails } = openTails({ readAheadBytes: 65_536 })
    const stream = bed.stream()
    const feed = await openFeed(tails, stream)
    const data = JSON.stringify('x'.repeat(10_000))
    for (const _ of range(60)) await bed.redis.xadd(bed.key(stream), '*', 'data', data)
    const hoarders = range(3).map(() => new Probe(feed, decoderOf(stream), { takes: false }))
    feed.adopt('first')
    for (const { subscription } of hoarders) subscription.resume('0-0')
    await waitFor(() => hoarders.every(({ held }) => held > 0), { describe: 'the hoarders' })
    const taker = new Probe(feed, decoderOf(stream))
    taker.subscription.resume('0-0')
    await waitFor(() => taker.ids.length === 60, { describe: 'the one that takes' })
    expect(hoarders.every(({ held }) => held < 60)).toBe(true)
  })

  it('asks for no more than a subscriber may hold', async () => {
    const { tails } = openTails()
    const stream = bed.stream()
    const feed = await openFeed(tails, stream)
    await bed.append(stream, 1_000)
    const probe = new Probe(feed, decoderOf(stream), { creditEvents: 10, takes: false })
    feed.adopt('first')
    probe.subscription.resume('0-0')
    for (const _ of range(20)) {
      await waitFor(() => probe.held >= 5, { describe: 'a page' })
      expect(probe.held).toBeLessThanOrEqual(16)
      probe.giveBack(5)
    }
  })

  it('pages what comes faster than one read carries, and comes back', async () => {
    const { tails } = openTails()
    const stream = bed.stream()
    const feed = await openFeed(tails, stream)
    const probe = new Probe(feed, decoderOf(stream))
    const membership = bed.gather(channels.tailMembership)
    feed.adopt('first')
    probe.subscription.resume('0-0')
    await joined(probe)
    // One command, so that one read meets more than it may carry.
    await bed.redis.eval(
      "for i = 1, 3000 do redis.call('XADD', KEYS[1], '*', 'data', i) end",
      1,
      bed.key(stream),
    )
    await waitFor(() => probe.ids.length === 3_000, { describe: 'the events' })
    await joined(probe)
    expect(membership.map((one) => one.joined)).toEqual([true, false, true])
    expect(probe.ids).toEqual(probe.ids.toSorted(compareIds))
  })

  it('notices within one block that a stream was created anew, and tells it once', async () => {
    const { tails } = openTails()
    const stream = bed.stream()
    const feed = await openFeed(tails, stream)
    await bed.append(stream, 1)
    const probe = new Probe(feed, decoderOf(stream))
    feed.adopt('first')
    probe.subscription.resume('0-0')
    await joined(probe)
    await bed.redis.hset(`${bed.key(stream)}:meta`, 'incarnation', 'second')
    await waitFor(() => probe.interruptions.length > 0, { describe: 'the interruption' })
    expect(probe.interruptions).toEqual(['the stream was created anew'])
  })

  it('does not disturb those who wait for a stream that does not exist yet', async () => {
    const { tails } = openTails({ blockMs: 100 })
    const stream = bed.stream()
    const feed = tails.feed(stream)
    const probe = new Probe(feed, decoderOf(stream))
    probe.subscription.resume('0-0')
    await joined(probe)
    const checks = await callsOf('evalsha')
    await waitFor(async () => (await callsOf('evalsha')) >= checks + 3, {
      describe: 'a few checks',
    })
    expect(probe.interruptions).toEqual([])
    const ids = await bed.append(stream, 1)
    await waitFor(() => probe.ids.length === 1, { describe: 'the first event' })
    expect(probe.ids).toEqual(ids)
  })

  it('serves 200 consumers of one stream with one blocking read, and 300 streams with another', async () => {
    const one = await bed.open()
    const stream = bed.stream()
    let handled = 0
    const consumers = range(200).map((i) =>
      one.consumer(stream, { name: `board-${i}` }).start(() => void handled++),
    )
    await Promise.all(consumers.map(({ ready }) => ready))
    await bed.append(stream, 100)
    await waitFor(() => handled === 20_000, { describe: 'all events at all consumers' })
    const blocked = String(await bed.redis.client('LIST'))
      .split('\n')
      .filter((line) => / cmd=xread /.test(line))
    expect(blocked.length).toBeLessThanOrEqual(1)
    await waitFor(() => one.connections['tail'] === 1, { describe: 'the tail' })
    expect(one.connections).toMatchObject({ data: 1, control: 1, tail: 1 })
    await one.close()

    const { core, tails } = openTails()
    const probes: Probe<never>[] = []
    const streams = range(300).map(() => bed.stream())
    await Promise.all(
      streams.map(async (each) => {
        const feed = await openFeed(tails, each)
        const probe = new Probe(feed, decoderOf(each) as Decode<never>)
        feed.adopt('first')
        probe.subscription.resume('0-0')
        probes.push(probe)
      }),
    )
    await Promise.all(probes.map(joined))
    await Promise.all(streams.map((each) => bed.append(each, 2)))
    await waitFor(() => probes.every(({ ids }) => ids.length === 2), {
      describe: 'events of all streams',
    })
    await waitFor(() => core.connections.count().tail === 1, { describe: 'the tail' })
    expect(core.connections.count()).toMatchObject({ data: 1, tail: 1 })
  })
})

/** The same, with a promise that takes longer for some than for others. */
function slowly<Data>(decode: Decode<Data>): Decode<Data> {
  let count = 0
  return async (entry, incarnation) => {
    const turns = ++count % 5
    for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate)
    return await decode(entry, incarnation)
  }
}
