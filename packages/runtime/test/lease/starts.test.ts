import { describe, expect, it } from 'vitest'
import { type FaultProxy, waitFor } from '@millrace/testkit'
import { resolveConnectOptions } from '../../src/connection/options.ts'
import { Consumer } from '../../src/consumer/consumer.ts'
import { resolveConsumerOptions } from '../../src/consumer/options.ts'
import { Pulse } from '../../src/consumer/pulse.ts'
import { type Core, createCore } from '../../src/core.ts'
import { ConsumerGroup } from '../../src/group/group.ts'
import { type Clock, systemClock } from '../../src/lifecycle/clock.ts'
import type { EventStream } from '../../src/index.ts'
import { Tails } from '../../src/tail/tails.ts'
import { type Reading, useRedis } from '../open-millrace.ts'

const bed = useRedis()

const LEASE_MS = 1_000
/** From when on nothing may be started, counted from when the last confirmed beat was sent. */
const CERTAIN_MS = 0.8 * LEASE_MS

/** Time that can jump, and remembers what it said last: by that whoever asked has decided. */
class JumpingClock implements Clock {
  #jumpedMs = 0
  lastMs = 0

  monotonicMs(): number {
    this.lastMs = systemClock.monotonicMs() + this.#jumpedMs
    return this.lastMs
  }

  after(ms: number, callback: () => void): () => void {
    return systemClock.after(ms, callback)
  }

  /** As after a stall of the process: the time is over, and no timer has fired yet. */
  jump(ms: number): void {
    this.#jumpedMs += ms
  }
}

interface Holder {
  readonly ready: Promise<void>
}

interface Rig {
  readonly clock: JumpingClock
  readonly proxy: FaultProxy
  readonly core: Core
}

async function rig(): Promise<Rig> {
  const proxy = await bed.proxy()
  const clock = new JumpingClock()
  // Reads block long, so that nothing but the lease keeps handlers from being started.
  const core = createCore(resolveConnectOptions(proxy.url, { blockMs: 5_000 }), clock)
  bed.onClose(() => {
    core.connections.close()
  })
  return { clock, proxy, core }
}

type Handler = (n: number) => unknown

const kinds = {
  consumer({ core }: Rig, stream: EventStream<Reading, Reading>, handler: Handler): Holder {
    const tails = new Tails(core)
    const options = resolveConsumerOptions({ name: 'board', leaseMs: LEASE_MS })
    const pulse = new Pulse(core, core.keysOf(stream))
    const consumer = new Consumer(core, tails, pulse, stream, options)
    bed.onClose(async () => {
      await consumer.close({ deadlineMs: 1_000 })
      await tails.close()
    })
    return consumer.start(({ data }) => handler(data.n))
  },
  member({ core }: Rig, stream: EventStream<Reading, Reading>, handler: Handler): Holder {
    const options = { name: 'pool', leaseMs: LEASE_MS, concurrency: 1, prefetch: 2_000 }
    const group = new ConsumerGroup(core, stream, options)
    bed.onClose(() => group.close({ deadlineMs: 1_000 }))
    return group.start(({ data }) => handler(data.n))
  },
} as const

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** So many events that they are not all started before the lease is over. */
const EVENTS = 2_000
const HANDLER_MS = 2
const STALL_AT = 10

describe.each(Object.entries(kinds))('A %s that hears nothing of Redis', (_kind, start) => {
  it('goes on for 0.8 of a lease after it has sent the last beat that was confirmed, and starts nothing from then on', async () => {
    const made = await rig()
    const { clock, proxy } = made
    const stream = bed.stream()
    const starts: { readonly n: number; readonly atMs: number }[] = []
    await bed.append(stream, EVENTS)
    let isOver = false
    start(made, stream, async (n) => {
      starts.push({ n, atMs: clock.lastMs })
      if (isOver) return
      const { promise, resolve } = Promise.withResolvers<void>()
      systemClock.after(HANDLER_MS, resolve)
      await promise
    })
    await waitFor(() => starts.length > 20, { describe: 'the first handlers' })
    // Every beat that is ever confirmed of this lease was sent before.
    const sinceMs = clock.monotonicMs()
    proxy.blackhole('both')
    await waitFor(() => clock.monotonicMs() > sinceMs + 1.3 * LEASE_MS, {
      describe: 'the lease to be over',
    })
    const startedMs = starts.map(({ atMs }) => atMs).filter((atMs) => atMs > sinceMs)
    expect(startedMs.length).toBeGreaterThan(5)
    expect(Math.max(...startedMs)).toBeLessThan(sinceMs + CERTAIN_MS)
    expect(new Set(starts.map(({ n }) => n)).size).toBeLessThan(EVENTS)
    isOver = true
    await proxy.heal()
    proxy.resetAll()
    await waitFor(() => new Set(starts.map(({ n }) => n)).size === EVENTS, {
      describe: 'the rest',
    })
  })

  it('starts nothing after it has stood still, although no timer has told it so yet', async () => {
    const made = await rig()
    const { clock, proxy } = made
    const stream = bed.stream()
    const starts: number[] = []
    let stalled = false
    await bed.append(stream, EVENTS)
    start(made, stream, (n) => {
      starts.push(n)
      if (n < STALL_AT || stalled) return
      stalled = true
      proxy.blackhole('both')
      // The next event is due in the same turn of the event loop.
      clock.jump(CERTAIN_MS)
    })
    await waitFor(() => stalled, { describe: 'the stall' })
    for (let turns = 0; turns < 200; turns++) await turn()
    expect(starts.at(-1)).toBe(STALL_AT)
    await proxy.heal()
    proxy.resetAll()
    await waitFor(() => new Set(starts).size === EVENTS, { describe: 'the rest' })
  })
})

describe('A consumer in quarantine', () => {
  it('starts no handler when the answer to its record comes after the lease is over', async () => {
    const made = await rig()
    const { clock, proxy } = made
    const stream = bed.stream()
    const key = `${bed.key(stream)}:state:board`
    const millrace = await bed.open()
    const first = millrace.consumer(stream, { name: 'board' }).start(() => undefined)
    await first.ready
    await first.close()
    // As if holders had died there twice.
    await bed.redis.hset(key, 'quarantine', '64')
    const startedMs: number[] = []
    const holder = kinds.consumer(made, stream, () => startedMs.push(clock.lastMs))
    await holder.ready
    proxy.latencyMs = ONE_WAY_MS
    await bed.append(stream, 1)
    await waitFor(async () => (await bed.redis.hget(key, 'quarantine')) === '63', {
      describe: 'the record of the start',
    })
    // Its answer is on the way now.
    clock.jump(CERTAIN_MS)
    const jumpedMs = clock.monotonicMs()
    await waitFor(() => startedMs.length === 1, { describe: 'the handler' })
    // A beat had to go there and come back first.
    expect((startedMs[0] ?? 0) - jumpedMs).toBeGreaterThan(1.9 * ONE_WAY_MS)
  })
})

const ONE_WAY_MS = 100
