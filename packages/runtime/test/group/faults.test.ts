import { startFaultProxy, waitFor } from '@millrace/testkit'
import { afterAll, describe, expect, it } from 'vitest'
import { channels, type PositionChanged } from '../../src/diagnostics.ts'
import { GroupTestbed, type Order } from './group-on-redis.ts'
import type { EventStream } from '../../src/stream/define-stream.ts'

const bed = await GroupTestbed.start()
afterAll(() => bed[Symbol.asyncDispose]())

/** A member that has joined, and what it has handled. */
async function member(
  stream: EventStream<Order, Order>,
  options: { url?: string; blockMs?: number; from?: 'latest' } = {},
): Promise<string[]> {
  const seen: string[] = []
  const { from = 'earliest', ...connection } = options
  const group = bed.group(bed.core(connection), stream, {
    name: 'g',
    concurrency: 4,
    leaseMs: 2_000,
    from,
  })
  group.start(async ({ id }) => {
    await Promise.resolve()
    seen.push(id)
  })
  await group.ready
  return seen
}

async function settled(stream: EventStream<Order, Order>): Promise<void> {
  await waitFor(async () => (await bed.pending(stream, 'g')) === 0, {
    describe: 'all to be settled',
  })
}

describe('a group', () => {
  it('starts at the beginning of a stream that was created anew, and says so', async () => {
    const stream = bed.stream()
    await bed.append(stream, 5)
    const seen = await member(stream)
    await waitFor(() => seen.length === 5, { describe: 'the first life' })
    const changes: PositionChanged[] = []
    const off = channels.positionChanged.subscribe((change) => changes.push(change))
    const renewed = ['incarnation', 'another', 'format', '1', 'partitions', '1', 'tag', stream.name]
    await bed.client
      .multi()
      .del(bed.key(stream))
      .xadd(bed.key(stream), '5-1', 'data', '{"n":100}')
      .hset(`${bed.key(stream)}:meta`, renewed)
      .exec()
    await waitFor(() => seen.length === 6, { describe: 'the second life' })
    off()
    expect(seen[5]).toBe('5-1')
    expect(changes).toMatchObject([{ name: 'g', change: 'recreated', to: '0-0' }])
    await settled(stream)
  })

  it('does so too when whoever created it knows nothing of Millrace', async () => {
    const stream = bed.stream()
    const ids = await bed.append(stream, 5)
    const seen = await member(stream)
    await waitFor(() => seen.length === 5, { describe: 'the first life' })
    const state = `${bed.key(stream)}:state:g`
    await waitFor(async () => (await bed.client.hget(state, 'position')) === ids.at(-1), {
      describe: 'a beat',
    })
    await bed.client
      .multi()
      .del(bed.key(stream))
      .xadd(bed.key(stream), '5-1', 'data', '{"n":100}')
      .exec()
    await waitFor(() => seen.length === 6, { describe: 'the second life' })
    expect(seen[5]).toBe('5-1')
    await bed.client.del(bed.key(stream))
    ids.push('5-1', ...(await bed.append(stream, 3, 200)))
    await waitFor(() => seen.length === 9, { describe: 'the third life' })
    expect(seen).toEqual(ids)
    await settled(stream)
  })

  it('survives FLUSHALL', async () => {
    const stream = bed.stream()
    await bed.append(stream, 5)
    const seen = await member(stream)
    await waitFor(() => seen.length === 5, { describe: 'the events before' })
    await bed.client.flushall()
    const ids = await bed.append(stream, 5, 100)
    await waitFor(() => seen.length === 10, { describe: 'the events after' })
    expect(seen.slice(5)).toEqual(ids)
    await settled(stream)
  })

  it('skips nothing after FLUSHALL although it began at the latest event', async () => {
    const stream = bed.stream()
    await bed.append(stream, 5)
    const seen = await member(stream, { from: 'latest' })
    await bed.client.flushall()
    const ids = await bed.append(stream, 5, 100)
    await waitFor(() => seen.length === 5, { describe: 'the events after' })
    expect(seen).toEqual(ids)
    await settled(stream)
  })

  it('is made again at its last checkpoint when somebody destroys it, and says so', async () => {
    const stream = bed.stream()
    const ids = await bed.append(stream, 50)
    const seen = await member(stream)
    await waitFor(() => seen.length === 50, { describe: 'the events before' })
    await settled(stream)
    const position = (): Promise<string | null> =>
      bed.client.hget(`${bed.key(stream)}:state:g`, 'position')
    await waitFor(async () => (await position()) === ids.at(-1), {
      describe: 'a beat to record the checkpoint',
    })
    const changes: PositionChanged[] = []
    const off = channels.positionChanged.subscribe((change) => changes.push(change))
    await bed.client.xgroup('DESTROY', bed.key(stream), 'g')
    const more = await bed.append(stream, 5, 100)
    await waitFor(() => seen.length === 55, { describe: 'the events after' })
    off()
    expect(seen.slice(50)).toEqual(more)
    expect(changes).toMatchObject([{ change: 'group-recreated', to: ids.at(-1) }])
    await settled(stream)
  })

  it('loses nothing when somebody deletes the consumer of a live member', async () => {
    const stream = bed.stream()
    const ids = await bed.append(stream, 3)
    const gate = Promise.withResolvers<void>()
    const seen: string[] = []
    const failed: string[] = []
    const group = bed.group(bed.core(), stream, {
      name: 'g',
      leaseMs: 500,
      backoff: { firstMs: 1_500, jitter: 0 },
    })
    group.start(async ({ id, data }, { attempt }) => {
      if (data.n === 1 && attempt === 1) {
        failed.push(id)
        throw new Error('later')
      }
      await gate.promise
      seen.push(id)
    })
    // One waits for its retry, one runs, one waits for its turn.
    await waitFor(async () => failed.length === 1 && (await bed.pending(stream, 'g')) === 3, {
      describe: 'all three',
    })
    const [name = ''] = await bed.consumers(stream, 'g')
    await bed.client.xgroup('DELCONSUMER', bed.key(stream), 'g', name)
    await waitFor(async () => (await bed.pending(stream, 'g')) === 3, {
      describe: 'reconciliation',
    })
    gate.resolve()
    await waitFor(() => seen.length === 3, { describe: 'all three' })
    expect(seen).toEqual([ids[1], ids[2], ids[0]])
    await settled(stream)
  })

  it('goes on after its connections are killed, without handling anything twice', async () => {
    const stream = bed.stream()
    const seen = await member(stream)
    const ids: string[] = []
    for (let round = 0; round < 5; round++) {
      ids.push(...(await bed.append(stream, 40, round * 40)))
      for (const purpose of ['group', 'data', 'control']) {
        const list = String(await bed.client.client('LIST'))
        for (const line of list.split('\n')) {
          const id = new RegExp(`^id=(\\d+) .*name=millrace:${purpose} `).exec(line)?.[1]
          if (id !== undefined) await bed.client.client('KILL', 'ID', id)
        }
      }
    }
    await waitFor(() => seen.length >= ids.length, { describe: 'all events' })
    await settled(stream)
    expect(seen.toSorted()).toEqual(ids.toSorted())
    // The names of earlier connections are gone from Redis.
    expect(await bed.consumers(stream, 'g')).toHaveLength(1)
  })

  it('finds the entries of a read whose answer was lost, and handles them once', async () => {
    const stream = bed.stream()
    await using proxy = await startFaultProxy(bed.server)
    const seen = await member(stream, { url: proxy.url })
    const dropped = proxy.dropNextReply((command) => command[0]?.toLowerCase() === 'xreadgroup')
    const ids = await bed.append(stream, 1)
    await dropped
    ids.push(...(await bed.append(stream, 5, 2)))
    await waitFor(() => seen.length === 6, { describe: 'all events' })
    await settled(stream)
    expect(seen.toSorted()).toEqual(ids.toSorted())
    await bed.closeAll()
  })

  it('handles nothing twice when answers of its scripts are lost', async () => {
    const stream = bed.stream()
    await using proxy = await startFaultProxy(bed.server)
    const seen = await member(stream, { url: proxy.url })
    const ids: string[] = []
    for (let round = 0; round < 6; round++) {
      const dropped = proxy.dropNextReply((command) => command[0]?.toLowerCase() === 'evalsha')
      ids.push(...(await bed.append(stream, 20, round * 20)))
      await dropped
    }
    await waitFor(() => seen.length >= ids.length, { describe: 'all events' })
    await settled(stream)
    expect(seen.toSorted()).toEqual(ids.toSorted())
    await bed.closeAll()
  })

  it('starts nothing while its lease is in doubt, tells its handlers, and goes on afterwards', async () => {
    const stream = bed.stream()
    await using proxy = await startFaultProxy(bed.server)
    const ids = await bed.append(stream, 3)
    const reasons: unknown[] = []
    const starts: string[] = []
    const group = bed.group(bed.core({ url: proxy.url }), stream, { name: 'g', leaseMs: 500 })
    group.start(async ({ id }, { signal, attempt }) => {
      starts.push(`${id}/${attempt}`)
      if (starts.length > 1) return
      await new Promise((resolve) => {
        signal.addEventListener('abort', resolve)
      })
      reasons.push(signal.reason)
      throw new Error('gave up')
    })
    await waitFor(() => starts.length === 1, { describe: 'the first handler' })
    proxy.blackhole('both')
    await waitFor(() => reasons.length === 1, { describe: 'the signal' })
    expect(reasons).toMatchObject([{ code: 'LEASE_LOST' }])
    expect(starts).toHaveLength(1)
    await proxy.heal()
    proxy.resetAll()
    await waitFor(() => starts.length === 4, { describe: 'the rest' })
    // Giving up when told to is no failure of the event.
    expect(starts.toSorted()).toEqual([`${ids[0]}/1`, ...ids.map((id) => `${id}/1`)].toSorted())
    await settled(stream)
    await bed.closeAll()
  })

  it('can be closed while Redis does not answer, and its entries are found later', async () => {
    const stream = bed.stream()
    await using proxy = await startFaultProxy(bed.server)
    const [id] = await bed.append(stream, 1)
    const started = Promise.withResolvers<void>()
    const core = bed.core({ url: proxy.url, sameHostTakeover: false })
    const group = bed.group(core, stream, { name: 'g', leaseMs: 500 })
    group.start(async () => {
      started.resolve()
      await new Promise(() => undefined)
    })
    await started.promise
    proxy.blackhole('both')
    await expect(group.close({ deadlineMs: 50 })).resolves.toEqual({ unfinished: [id] })
    await group.closed
    core.connections.close()
    const next = Promise.withResolvers<string>()
    bed.group(bed.core({ sameHostTakeover: false }), stream, { name: 'g' }).start((event) => {
      next.resolve(event.id)
    })
    await expect(next.promise).resolves.toBe(id)
    await settled(stream)
  })

  it('drains while Redis is out of memory', async () => {
    const stream = bed.stream()
    await bed.append(stream, 500)
    await bed.client.config('SET', 'maxmemory', 1)
    try {
      const seen: string[] = []
      const group = bed.group(bed.core(), stream, { name: 'g', concurrency: 4, maxAttempts: 1 })
      group.start(({ id, data }) => {
        if (data.n === 7) throw new Error('a dead letter')
        seen.push(id)
      })
      await waitFor(() => seen.length === 499, { describe: 'all events' })
      await settled(stream)
      expect(await bed.client.xlen(`${bed.key(stream)}:dead:g`)).toBe(1)
      await group.close()
    } finally {
      await bed.client.config('SET', 'maxmemory', 0)
    }
  })

  it('goes on after Redis has been away', async () => {
    const stream = bed.stream()
    await using own = await GroupTestbed.start(['--appendonly', 'yes'])
    const seen: string[] = []
    const group = own.group(own.core({ deadlineMs: 1_000 }), stream, { name: 'g', leaseMs: 1_000 })
    group.start(({ id }) => {
      seen.push(id)
    })
    const ids = await own.append(stream, 3)
    await waitFor(() => seen.length === 3, { describe: 'the events before' })
    await own.server.restart()
    ids.push(...(await own.append(stream, 3, 4)))
    await waitFor(() => seen.length >= 6, { describe: 'the events after' })
    expect(new Set(seen)).toEqual(new Set(ids))
  })
})

describe('what a member holds', () => {
  it('is bounded by count and bytes, and what waits for a retry keeps no payload', async () => {
    const stream = bed.stream()
    const text = JSON.stringify({ n: 1, text: 'x'.repeat(10_000) })
    for (let i = 0; i < 300; i++) await bed.client.xadd(bed.key(stream), '*', 'data', text)
    const gate = Promise.withResolvers<void>()
    const group = bed.group(bed.core(), stream, {
      name: 'g',
      concurrency: 2,
      prefetch: 100,
      maxInFlightBytes: 100_000,
    })
    let running = 0
    group.start(async () => {
      running++
      await gate.promise
    })
    await waitFor(() => running === 2, { describe: 'two handlers' })
    // Two run and as many again may wait: it has no reason to hold more.
    expect(await bed.pending(stream, 'g')).toBeLessThanOrEqual(4)
    gate.resolve()
    await waitFor(() => running === 300, { describe: 'all events' })
    await settled(stream)
  })

  it('stops growing when everything fails', async () => {
    const stream = bed.stream()
    await bed.append(stream, 500)
    const group = bed.group(bed.core(), stream, {
      name: 'g',
      maxParked: 20,
      prefetch: 10,
      backoff: { firstMs: 60_000 },
    })
    let failures = 0
    group.start(() => {
      failures++
      throw new Error('all fail')
    })
    await waitFor(() => failures >= 20, { describe: 'failures' })
    await waitFor(async () => (await bed.pending(stream, 'g')) === failures, {
      describe: 'it to stop',
    })
    expect(failures).toBeLessThanOrEqual(20 + 10)
    await group.close()
    expect(failures).toBeLessThanOrEqual(20 + 10)
  })
})
