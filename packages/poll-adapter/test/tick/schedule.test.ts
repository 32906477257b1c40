import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { type Page, pollChannels } from '@millrace/poll-adapter'
import type { Clock } from '../../src/lifecycle/clock.ts'
import { resolveTickLoopOptions } from '../../src/tick/options.ts'
import { Polling } from '../../src/tick/polling.ts'
import { untilNextTickMs } from '../../src/tick/schedule.ts'

describe('the schedule of a tick loop', () => {
  it('keeps its beat however long a tick takes, and leaves out what a slow one has run over', () => {
    expect(untilNextTickMs(1_000, 5_000, 5_000)).toBe(1_000)
    expect(untilNextTickMs(1_000, 5_000, 5_300)).toBe(700)
    expect(untilNextTickMs(1_000, 5_000, 7_300)).toBe(700)
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 86_400_000 }),
        fc.integer({ min: 0, max: 86_400_000 }),
        (everyMs, tookMs) => {
          const pauseMs = untilNextTickMs(everyMs, 1_000, 1_000 + tookMs)
          expect((tookMs + pauseMs) % everyMs).toBe(0)
          expect(pauseMs).toBeGreaterThan(0)
          expect(pauseMs).toBeLessThanOrEqual(everyMs)
        },
      ),
    )
  })

  it('is what a cron says, once for each time, also when timers are early or the time is months away', async () => {
    const DAY_MS = 86_400_000
    const clock = hurriedClock(5)
    const ticks: number[] = []
    const every = (afterMs: number): number =>
      (Math.floor(afterMs / (60 * DAY_MS)) + 1) * 60 * DAY_MS
    const fetch = (): Page<never> => {
      ticks.push(clock.wallMs())
      return { items: [] }
    }
    const options = { name: 'cron', every, fetch, handler: () => undefined }
    const polling = new Polling(resolveTickLoopOptions(options), clock)
    polling.start()
    await waitFor(() => ticks.length >= 4, { describe: 'four ticks' })
    await polling.close({ deadlineMs: 1_000 })
    expect(ticks.slice(0, 4).map((at) => at / DAY_MS)).toEqual([
      0,
      expect.closeTo(60, 3),
      expect.closeTo(120, 3),
      expect.closeTo(180, 3),
    ])
  })

  it('is asked again where it names no time or fails, which is told of', async () => {
    const failures: string[] = []
    const off = pollChannels.pollerFailed.subscribe(({ error }) => failures.push(error.message))
    const answers = [Number.NaN, new Error('no such day')]
    const asked: number[] = []
    const clock = hurriedClock(0)
    let ticks = 0
    const every = (afterMs: number): number => {
      asked.push(afterMs)
      const answer = answers.shift() ?? afterMs + 1_000
      if (answer instanceof Error) throw answer
      return answer
    }
    const fetch = (): Page<never> => {
      ticks += 1
      return { items: [] }
    }
    const options = { name: 'cron', every, fetch, handler: () => undefined }
    const polling = new Polling(resolveTickLoopOptions(options), clock)
    polling.start()
    await waitFor(() => ticks >= 2, { describe: 'the second tick' })
    await polling.close({ deadlineMs: 1_000 })
    off()
    expect(asked.slice(0, 3)).toEqual([0, 60_000, 120_000])
    expect(failures).toEqual(['no such day'])
  })

  it('goes on when the clock was set back', () => {
    expect(untilNextTickMs(1_000, 5_000, 2_000)).toBe(1_000)
  })
})

/** Time passes as soon as somebody waits for it; long waits end a little early, as those of timers do at times. */
function hurriedClock(earlyMs: number): Clock {
  let nowMs = 0
  return {
    wallMs: () => nowMs,
    monotonicMs: () => nowMs,
    after: (ms, callback) => {
      const timer = setImmediate(() => {
        nowMs += ms > 2 * earlyMs ? ms - earlyMs : Math.max(ms, 1)
        callback()
      })
      return () => {
        clearImmediate(timer)
      }
    },
  }
}
