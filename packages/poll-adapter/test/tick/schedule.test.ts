import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
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

  it('is what a cron says, where there is one', () => {
    const hourly = (afterMs: number): number => Math.ceil((afterMs + 1) / 3_600_000) * 3_600_000
    expect(untilNextTickMs(hourly, 0, 1_800_000)).toBe(1_800_000)
    expect(untilNextTickMs(() => 5, 0, 10)).toBe(0)
    expect(untilNextTickMs(() => Number.NaN, 0, 10)).toBeGreaterThan(86_400_000)
  })

  it('goes on when the clock was set back', () => {
    expect(untilNextTickMs(1_000, 5_000, 2_000)).toBe(1_000)
  })
})
