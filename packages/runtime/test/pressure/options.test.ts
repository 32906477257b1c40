import { describe, expect, it } from 'vitest'
import {
  pressureProblems,
  type PressureOptions,
  resolvePressureOptions,
} from '../../src/pressure/options.ts'
import { resolveProducerOptions } from '../../src/producer/options.ts'

const problemsOf = (options: unknown): string[] => pressureProblems(options as PressureOptions)

describe('the options of pressure', () => {
  it('watch for nothing unless they are given, and for memory when they are', () => {
    expect(resolvePressureOptions(undefined, undefined)).toEqual({
      policy: 'signal',
      isWatched: false,
      marks: { lagEvents: undefined, lagMs: undefined, memory: undefined },
      of: [],
    })
    expect(resolvePressureOptions('signal', undefined).isWatched).toBe(false)
    for (const watched of [
      resolvePressureOptions('delay', undefined),
      resolvePressureOptions(undefined, {}),
    ]) {
      expect(watched.isWatched).toBe(true)
      expect(watched.marks.memory).toEqual({ low: 0.7, high: 0.8, critical: 0.9 })
    }
  })

  it('have low at half and critical at twice of high, and for memory within the server', () => {
    const { marks } = resolvePressureOptions('delay', {
      lagEvents: { high: 10_000 },
      lagMs: { high: 60_000, low: 59_000, critical: 600_000 },
      memory: { high: 0.6 },
    })
    expect(marks.lagEvents).toEqual({ low: 5_000, high: 10_000, critical: 20_000 })
    expect(marks.lagMs).toEqual({ low: 59_000, high: 60_000, critical: 600_000 })
    expect(marks.memory).toEqual({ low: 0.525, high: 0.6, critical: 0.8 })
  })

  it.each([
    [{ lagEvents: 5 }, 'pressure.lagEvents must be an object'],
    [{ lagEvents: {} }, 'pressure.lagEvents.high must be given'],
    [
      { lagMs: { high: 10, low: 10 } },
      'pressure.lagMs must have low < high < critical, not 10, 10, 20',
    ],
    [
      { lagMs: { high: 10, critical: 9 } },
      'pressure.lagMs must have low < high < critical, not 5, 10, 9',
    ],
    [{ memory: { high: 0 } }, 'pressure.memory.high must be a number above 0'],
    [{ memory: { high: 0.9, critical: 1.5 } }, 'pressure.memory.critical must be at most 1'],
    [{ of: [] }, 'pressure.of must be an array of 1 to 1000 names'],
    [{ lag: 1 }, 'pressure.lag is not an option (known: lagEvents, lagMs, memory, of)'],
  ])('are refused with %j', (options, problem) => {
    expect(problemsOf(options)).toEqual([problem])
  })

  it('spool only where there is a spool', () => {
    expect(() => resolveProducerOptions({ onPressure: 'spool' }, 1_000)).toThrow(
      "onPressure: 'spool' needs whenUnavailable: 'spool'",
    )
    expect(() =>
      resolveProducerOptions({ onPressure: 'later', pressure: null } as never, 1_000),
    ).toThrow(/onPressure must be one of signal, delay, reject, spool.*pressure must be an object/)
  })
})
