import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { createDeliveryRecorder, type DeliveredEvent, waitFor } from '@millrace/testkit'
import { channels } from '../../src/diagnostics.ts'
import { range, useRedis } from '../open-millrace.ts'

const bed = useRedis()

interface Delivered extends DeliveredEvent {
  readonly token: string
}

/** Processes with one consumer each, and what they tell, in the order in which this process hears it. */
class Fleet {
  readonly recorder = createDeliveryRecorder<Delivered>({ order: 'stream' })
  readonly leases: { readonly by: string; readonly change: string; readonly token: string }[] = []
  readonly #settings: Record<string, unknown>

  constructor(settings: Record<string, unknown>) {
    this.#settings = { url: bed.server.url, name: 'board', leaseMs: 1_000, ...settings }
  }

  async start(by: string): Promise<ChildProcess> {
    const child = fork(
      new URL('../programs/consume.ts', import.meta.url),
      [JSON.stringify(this.#settings)],
      {
        execArgv: ['--conditions=millrace-source'],
      },
    )
    bed.onClose(() => child.kill('SIGKILL'))
    const { promise: ready, resolve } = Promise.withResolvers<void>()
    child.on('message', (message: Message) => {
      if ('ready' in message) resolve()
      if ('lease' in message) this.leases.push({ by, ...message.lease })
      if ('handled' in message) {
        const { id, n, token } = message.handled
        this.recorder.record({ id, sequence: n, consumer: by, token })
      }
    })
    await ready
    return child
  }

  handledBy(by: string): readonly Delivered[] {
    return this.recorder.deliveries.filter(({ consumer }) => consumer === by)
  }
}

type Message =
  | { readonly ready: true }
  | { readonly lease: { readonly change: string; readonly token: string } }
  | { readonly handled: { readonly id: string; readonly n: number; readonly token: string } }

function counterOf(token: string | undefined): number {
  return Number.parseInt(token ?? '', 10)
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  const exited = once(child, 'exit')
  child.kill(signal)
  await exited
}

describe('The lease of a consumer', () => {
  it.each([
    ['after its lease has run out, where nothing is concluded from the host', false],
    ['at once, where its process is provably gone', true],
  ])('passes to the standby when the holder is killed: %s', async (_how, sameHostTakeover) => {
    const stream = bed.stream()
    const leaseMs = sameHostTakeover ? 60_000 : 1_000
    const fleet = new Fleet({ stream: stream.name, leaseMs, sameHostTakeover })
    const first = await fleet.start('first')
    await fleet.start('second')
    const ids = await bed.append(stream, 200)
    await waitFor(() => fleet.recorder.report(ids).lost === 0, { describe: 'the first events' })
    await ended(first, 'SIGKILL')
    const sinceMs = performance.now()
    ids.push(...(await bed.append(stream, 200, { first: 200 })))
    await waitFor(() => fleet.handledBy('second').length > 0, {
      describe: 'the standby to take over',
    })
    const tookMs = performance.now() - sinceMs
    console.log(
      `taken over after ${Math.round(tookMs)} ms, lease ${leaseMs} ms, same host ${sameHostTakeover}`,
    )
    // Not before: a holder may be silent for a lease.
    if (!sameHostTakeover) expect(tookMs).toBeGreaterThan(leaseMs / 2)
    await waitFor(() => fleet.recorder.report(ids).lost === 0, { describe: 'all events' })
    expect(fleet.recorder.report(ids)).toMatchObject({ lost: 0, outOfOrder: 0 })
    const tokens = fleet.recorder.deliveries.map(({ token }) => counterOf(token))
    expect(tokens).toEqual(tokens.toSorted((a, b) => a - b))
    expect(fleet.leases).toMatchObject([
      { by: 'first', change: 'acquired' },
      { by: 'second', change: 'taken-over' },
      { by: 'second', change: 'acquired' },
    ])
  })

  it('fences an old holder that wakes up', async () => {
    const stream = bed.stream()
    const fleet = new Fleet({ stream: stream.name })
    const first = await fleet.start('first')
    await fleet.start('second')
    const ids = await bed.append(stream, 100)
    await waitFor(() => fleet.handledBy('first').length === 100, { describe: 'the first events' })
    first.kill('SIGSTOP')
    ids.push(...(await bed.append(stream, 100, { first: 100 })))
    await waitFor(() => fleet.handledBy('second').at(-1)?.sequence === 199, {
      describe: 'the standby to take over',
    })
    const before = await bed.state(stream, 'board')
    first.kill('SIGCONT')
    await waitFor(
      () => fleet.leases.some(({ by, change }) => by === 'first' && change === 'lost'),
      {
        describe: 'the old holder to learn of it',
      },
    )
    ids.push(...(await bed.append(stream, 100, { first: 200 })))
    await waitFor(() => fleet.handledBy('second').at(-1)?.sequence === 299, {
      describe: 'the new events',
    })
    expect(fleet.recorder.report(ids)).toMatchObject({ lost: 0, outOfOrder: 0 })
    // Whatever the old one had in its hands when it woke up, it stored nothing and the holder stayed.
    const after = await bed.state(stream, 'board')
    expect(after['token']).toBe(before['token'])
    expect(fleet.handledBy('first').every(({ sequence }) => sequence < 200)).toBe(true)
    expect(counterOf(fleet.handledBy('second')[0]?.token)).toBeGreaterThan(
      counterOf(fleet.handledBy('first')[0]?.token),
    )
  })

  it('passes without a pause, a gap or a repetition when processes are ended in the orderly way', async () => {
    const stream = bed.stream()
    const fleet = new Fleet({ stream: stream.name, leaseMs: 60_000 })
    const ids: string[] = []
    let holder = await fleet.start('process-0')
    for (const round of range(3, 1)) {
      ids.push(...(await bed.append(stream, 500, { first: ids.length })))
      const next = await fleet.start(`process-${round}`)
      await ended(holder, 'SIGTERM')
      holder = next
    }
    await waitFor(() => fleet.recorder.report(ids).lost === 0, { describe: 'all events' })
    expect(fleet.recorder.report(ids)).toMatchObject({ lost: 0, outOfOrder: 0, duplicates: 0 })
    expect(fleet.leases.filter(({ change }) => change === 'taken-over')).toEqual([])
  })

  it('is taken at once by a consumer that starts when it was released', async () => {
    const stream = bed.stream()
    for (const round of range(5, 1)) {
      const millrace = await bed.open()
      const consumer = millrace
        .consumer(stream, { name: 'board', leaseMs: 3_600_000 })
        .start(() => undefined)
      await consumer.ready
      expect(consumer.state.is).toBe('holding')
      expect((await bed.state(stream, 'board'))['counter']).toBe(String(round))
      await millrace.close()
    }
  })

  it('has a token whose number rises with each holder, also after its state has vanished', async () => {
    const stream = bed.stream()
    const tokens: string[] = []
    for (const _ of range(6)) {
      const millrace = await bed.open()
      const consumer = millrace.consumer(stream, { name: 'board' }).start(() => undefined)
      await consumer.ready
      if (consumer.state.is === 'holding') tokens.push(consumer.state.token)
      await millrace.close()
      if (tokens.length % 2 === 0) await bed.redis.flushall()
    }
    const numbers = tokens.map(counterOf)
    expect(numbers).toHaveLength(6)
    for (const [i, number] of numbers.entries()) {
      expect(number).toBeGreaterThan(numbers[i - 1] ?? 0)
    }
  })

  it('aborts running handlers before anybody else may hold it, and never runs an event beside an earlier run of it', async () => {
    const proxy = await bed.proxy()
    const cutOff = await bed.open({ sameHostTakeover: false, deadlineMs: 1_000 }, proxy.url)
    const stream = bed.stream()
    await bed.append(stream, 1)
    const log: string[] = []
    const gate = Promise.withResolvers<void>()
    let running = 0
    cutOff.consumer(stream, { name: 'board', leaseMs: 800 }).start(async (_event, { signal }) => {
      expect(++running).toBe(1)
      log.push('started')
      signal.addEventListener('abort', () => log.push(`aborted: ${signal.reason.code}`), {
        once: true,
      })
      // It does not listen to its signal, as many do.
      await gate.promise
      running--
    })
    await waitFor(() => log.length === 1, { describe: 'the handler' })
    proxy.blackhole('both')
    await waitFor(() => log.length === 2, { describe: 'the abort' })
    expect(log).toEqual(['started', 'aborted: LEASE_LOST'])
    // Nobody took it, so that it is the old one's again; its first run still has not ended.
    await proxy.heal()
    const counter = async (): Promise<number> =>
      Number((await bed.state(stream, 'board'))['counter'])
    await waitFor(async () => (await counter()) >= 2, { describe: 'the lease to be taken again' })
    const beat = async (): Promise<number> => Number((await bed.state(stream, 'board'))['beat'])
    await waitFor(async () => (await beat()) >= 2, { describe: 'a few beats' })
    expect(log).toEqual(['started', 'aborted: LEASE_LOST'])
    gate.resolve()
    await waitFor(() => log.filter((line) => line === 'started').length === 2, {
      describe: 'the second run',
    })
    await waitFor(async () => (await bed.state(stream, 'board'))['position'] !== '0-0', {
      describe: 'the position',
    })
  })

  it('stays with its holder beside longer leases on the same stream', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const leases = bed.gather(channels.leaseChanged)
    const slow = millrace
      .consumer(stream, { name: 'slow', leaseMs: 3_600_000 })
      .start(() => undefined)
    await slow.ready
    const quick = millrace
      .consumer(stream, { name: 'quick', leaseMs: 1_000 })
      .start(() => undefined)
    await quick.ready
    const beat = async (): Promise<number> => Number((await bed.state(stream, 'quick'))['beat'])
    await waitFor(async () => (await beat()) >= 4, { describe: 'four beats' })
    expect(leases.map(({ name, change }) => `${name} ${change}`)).toEqual([
      'slow acquired',
      'quick acquired',
    ])
  })
})
