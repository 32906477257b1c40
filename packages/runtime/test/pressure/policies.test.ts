import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { isMillraceError, type Millrace, type ProducerOptions } from '../../src/index.ts'
import { type Reading, useRedis } from '../open-millrace.ts'
import { spoolDirectory } from '../producer/spool/spool-rig.ts'

// A producer as fast as it can against a real group that is slower.

const bed = useRedis()

const MARKS = { lagEvents: { low: 300, high: 1_000, critical: 2_000 } } as const
const EVENTS = 6_000
// Figures are asked for at most every 25 ms, so what passes meanwhile has to be less than the bound leaves.
const AT_ONCE = 8
/** Few on their way, so that the bound is not passed by what cannot be held back. */
const WINDOW = { maxInFlightEvents: 200 }

/** A group whose handlers take two milliseconds each, and what it has handled. */
async function slowGroup(millrace: Millrace, stream: ReturnType<typeof bed.stream>) {
  const handled = new Map<number, number>()
  const member = millrace
    .consumerGroup<Reading>(stream, { name: 'slow', concurrency: 4 })
    .start(async ({ data }) => {
      await sleep(2)
      handled.set(data.n, (handled.get(data.n) ?? 0) + 1)
    })
  await member.ready
  return handled
}

/** Publishes until all are stored; what is refused is published again when it is said to. */
async function publishAll(
  millrace: Millrace,
  stream: ReturnType<typeof bed.stream>,
  options: ProducerOptions,
): Promise<{ refused: number; spooled: number }> {
  const producer = millrace.producer<Reading>(stream, { ...WINDOW, ...options })
  let next = 0
  let refused = 0
  let spooled = 0
  const one = async (): Promise<void> => {
    while (next < EVENTS) {
      const n = next++
      for (;;) {
        try {
          if ((await producer.publish({ n })).stored === 'spool') spooled++
          break
        } catch (error) {
          if (!isMillraceError(error, 'PRESSURE')) throw error
          refused++
          await sleep(Math.min(error.retryAfterMs ?? 0, 200))
        }
      }
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, one))
  return { refused, spooled }
}

describe('a stream whose group is slow', () => {
  it.each<[string, ProducerOptions, (path: string) => ProducerOptions]>([
    ['is delayed', { onPressure: 'delay', deadlineMs: 60_000 }, () => ({})],
    ['rejects', { onPressure: 'reject' }, () => ({})],
    [
      'spools',
      { onPressure: 'spool', producerId: 'tower', whenUnavailable: 'spool' },
      (directory) => ({ spool: { directory } }),
    ],
  ])('settles, and loses nothing, with a producer that %s', async (title, options, more) => {
    const millrace = await bed.open()
    const stream = bed.stream()
    using directory = spoolDirectory()
    const handled = await slowGroup(millrace, stream)
    const producing = publishAll(millrace, stream, {
      pressure: MARKS,
      ...options,
      ...more(directory.path),
    })
    let mostLag = 0
    let isDone = false
    const ended = producing.finally(() => {
      isDone = true
    })
    await waitFor(
      async () => {
        mostLag = Math.max(mostLag, (await bed.redis.xlen(bed.key(stream))) - handled.size)
        return isDone && handled.size === EVENTS
      },
      { describe: 'everything to be handled', timeoutMs: 60_000 },
    )
    const { refused, spooled } = await ended
    expect([...handled.values()].every((times) => times === 1)).toBe(true)
    expect(mostLag).toBeGreaterThan(MARKS.lagEvents.low)
    // A spool sends at once what has gathered there, until the next figures come.
    expect(mostLag).toBeLessThan(title === 'spools' ? EVENTS : 2 * MARKS.lagEvents.critical)
    if (title === 'rejects') expect(refused).toBeGreaterThan(0)
    if (title === 'spools') expect(spooled).toBeGreaterThan(0)
    await millrace.close()
  })
})
