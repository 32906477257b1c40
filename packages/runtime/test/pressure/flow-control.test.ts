import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { defineStream } from '../../src/index.ts'
import { useRedis } from '../open-millrace.ts'

const bed = useRedis()

const EVENTS = 8_000
const EVENT_BYTES = 10_000
const MIB = 1_048_576
const MOST_HELD_BYTES = MIB

/** What the process holds on to, in MiB, with everything else collected. */
function heldMiB(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return (heapUsed + external) / MIB
}

it('fast, slow, paused and forgotten readers side by side hold no more than each may, and miss nothing', async () => {
  const millrace = await bed.open({ readAheadBytes: 4 * MIB })
  const stream = defineStream<{ n: number; text: string }>('mixed')
  const text = 'x'.repeat(EVENT_BYTES)
  // A stalled process loses leases and gets events again, so what counts is which it has seen.
  const seenBy = new Map<string, Set<number>>()
  const skipped: string[] = []
  const see = (name: string, n: number): void => {
    const seen = seenBy.get(name) ?? new Set()
    seenBy.set(name, seen.add(n))
  }
  const seen = (name: string): number => seenBy.get(name)?.size ?? 0
  const consumers = [
    'fast-1',
    'fast-2',
    'slow-1',
    'slow-2',
    'paused-1',
    'paused-2',
    'paused-3',
  ].map((name) => {
    return millrace
      .consumer(stream, { name, maxInFlightBytes: MOST_HELD_BYTES })
      .start(async ({ data }) => {
        if (name.startsWith('slow') && data.n < 100) await sleep(5)
        if (data.n > seen(name)) skipped.push(`${name} ${data.n}`)
        see(name, data.n)
      })
  })
  const members = ['busy', 'resting'].map((name) =>
    millrace
      .consumerGroup(stream, { name, concurrency: 2, maxInFlightBytes: MOST_HELD_BYTES })
      .start(async ({ data }) => {
        if (name === 'resting' && data.n < 500) await sleep(5)
        see(name, data.n)
      }),
  )
  // Nobody ever asks it for a second event.
  const forgotten = millrace.reader(stream, { from: 'earliest', bufferBytes: MOST_HELD_BYTES })
  const events = forgotten[Symbol.asyncIterator]()
  await Promise.all([...consumers, ...members].map(({ ready }) => ready))
  for (const consumer of consumers) {
    if (consumer.name.startsWith('paused')) consumer.pause('backpressure')
  }
  const before = heldMiB()
  await millrace.publish(stream, { n: 0, text })
  await events.next()
  for (let n = 1; n < EVENTS; n += 100) {
    const some = Array.from({ length: Math.min(100, EVENTS - n) }, (_, i) => ({ n: n + i, text }))
    await millrace.publish(stream, some)
  }
  await waitFor(() => seen('fast-1') === EVENTS && seen('fast-2') === EVENTS, {
    describe: 'the fast ones to have everything',
    timeoutMs: 30_000,
  })
  for (const name of ['paused-1', 'paused-2', 'paused-3']) expect(seen(name)).toBe(0)
  expect((EVENTS * EVENT_BYTES) / MIB).toBeGreaterThan(75)
  // Ten readers with one MiB each, what is read ahead for all of them, and a read or page on its way for each.
  // What sockets brought goes only with the collection after the next.
  await waitFor(() => heldMiB() - before < 32, { describe: 'what is held to be within bounds' })

  for (const consumer of consumers) consumer.resume('backpressure')
  const everybody = [...consumers, ...members].map(({ name }) => name)
  const behind = (): string[] =>
    everybody.flatMap((name) => (seen(name) === EVENTS ? [] : [`${name} ${seen(name)}`]))
  await waitFor(() => behind().length === 0, {
    describe: 'everybody to have everything',
    timeoutMs: 60_000,
  }).catch(() => {
    expect(behind()).toEqual([])
  })
  expect(skipped).toEqual([])
  await events.return?.()
}, 120_000)
