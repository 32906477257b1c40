import { describe, expect, it } from 'vitest'
import { DrainRate } from '../../src/pressure/drain-rate.ts'
import { CALM } from '../../src/pressure/levels.ts'
import {
  allowedPerSecond,
  askAfterEvents,
  probeInMs,
  retryAfterMs,
  type Situation,
} from '../../src/pressure/pace.ts'

const marks = { low: 1_000, high: 2_000, critical: 4_000 }

function situation(lagEvents: number, some: Partial<Situation> = {}): Situation {
  const level = lagEvents >= marks.critical ? 'critical' : 'high'
  return {
    levels: { ...CALM, lagEvents: level },
    figures: {
      length: lagEvents,
      slowest: 'pool',
      lagEvents,
      isLagKnown: true,
      lagMs: 0,
      memory: undefined,
    },
    marks: { lagEvents: marks, lagMs: undefined, memory: undefined },
    drainPerSecond: 500,
    freelyPerSecond: 10_000,
    ...some,
  }
}

describe('how fast a delayed producer goes on', () => {
  it('is what the slowest drains at high, less above, nothing at critical, at most twice below', () => {
    expect(allowedPerSecond(situation(2_000))).toBe(500)
    expect(allowedPerSecond(situation(3_000))).toBe(250)
    expect(allowedPerSecond(situation(4_000))).toBe(0)
    expect(allowedPerSecond(situation(9_000))).toBe(0)
    expect(allowedPerSecond(situation(1_500))).toBe(750)
    expect(allowedPerSecond(situation(1_000))).toBe(1_000)
  })

  it('is without bound while nothing is wrong', () => {
    expect(allowedPerSecond({ ...situation(10), levels: CALM })).toBe(Number.POSITIVE_INFINITY)
  })

  it('uses up the room that is left slowly when nobody drains', () => {
    expect(allowedPerSecond(situation(2_800, { drainPerSecond: 0 }))).toBe(20)
    expect(allowedPerSecond(situation(4_000, { drainPerSecond: 0 }))).toBe(0)
  })

  it('brings the lag to rest between high and critical, however many producers there are', () => {
    for (const producers of [1, 2, 5, 50]) {
      let lag = 0
      let level: 'critical' | 'high' | 'normal' = 'normal'
      const seen: number[] = []
      for (let step = 0; step < 4_000; step++) {
        const now = situation(lag)
        if (lag >= marks.high) level = 'high'
        else if (lag < marks.low) level = 'normal'
        const each =
          level === 'normal'
            ? 2_000
            : allowedPerSecond({ ...now, levels: { ...CALM, lagEvents: level } })
        lag = Math.max(lag + ((each * producers - 500) * 1) / 20, 0)
        if (step > 3_000) seen.push(lag)
      }
      expect(Math.min(...seen)).toBeGreaterThanOrEqual(marks.high - 10)
      expect(Math.max(...seen)).toBeLessThanOrEqual(marks.critical)
    }
  })

  it('follows memory with the rate that the producer had before, and stops when memory has run out', () => {
    const memory = { low: 0.5, high: 0.6, critical: 0.8 }
    const at = (usedBytes: number): Situation => {
      const { figures } = situation(0)
      if (figures === undefined) throw new Error('there are figures')
      return situation(0, {
        levels: { ...CALM, memory: 'high' },
        marks: { lagEvents: undefined, lagMs: undefined, memory },
        figures: { ...figures, memory: { usedBytes, maxBytes: 100 } },
      })
    }
    expect(allowedPerSecond(at(60))).toBe(10_000)
    expect(allowedPerSecond(at(70))).toBeCloseTo(5_000)
    expect(allowedPerSecond(at(80))).toBe(0)
    expect(allowedPerSecond({ ...at(10), levels: { ...CALM, outOfMemory: true } })).toBe(0)
    const unknown = { ...at(80), freelyPerSecond: Number.POSITIVE_INFINITY }
    expect(allowedPerSecond(unknown)).toBe(0)
  })

  it('keeps on trying an event at a time when the age of events is too high and nobody drains', () => {
    const { figures } = situation(100)
    if (figures === undefined) throw new Error('there are figures')
    const old = situation(100, {
      levels: { ...CALM, lagMs: 'high' },
      marks: { lagEvents: undefined, lagMs: marks, memory: undefined },
      figures: { ...figures, lagMs: 3_000 },
      drainPerSecond: 0,
    })
    expect(allowedPerSecond(old)).toBe(1)
  })
})

describe('when to try and to look again', () => {
  it('is when the slowest will be down to low, if that can be said', () => {
    expect(retryAfterMs(situation(2_000))).toBe(2_000)
    expect(retryAfterMs(situation(1_001))).toBe(50)
    expect(retryAfterMs(situation(1e9))).toBe(30_000)
    expect(retryAfterMs(situation(2_000, { drainPerSecond: undefined }))).toBe(1_000)
    expect(retryAfterMs(situation(2_000, { drainPerSecond: 0 }))).toBe(1_000)
  })

  it('looks with growing pauses, and not later than half-way to the expected end', () => {
    const unknown = situation(2_000, { drainPerSecond: undefined })
    expect([0, 1, 2, 3, 4, 5, 60].map((inVain) => probeInMs(unknown, inVain))).toEqual([
      250, 500, 1_000, 2_000, 4_000, 5_000, 5_000,
    ])
    expect(probeInMs(situation(2_000), 10)).toBe(1_000)
    expect(probeInMs(situation(1_001), 10)).toBe(250)
  })

  it('asks sooner the nearer the next mark is, and never for less than a batch', () => {
    const calm = { ...situation(0), levels: CALM }
    expect(askAfterEvents({ ...calm, figures: undefined })).toBe(0)
    expect(askAfterEvents(calm)).toBe(1_000)
    expect(askAfterEvents({ ...situation(1_900), levels: CALM })).toBe(512)
    expect(askAfterEvents(situation(2_000))).toBe(1_000)
    expect(askAfterEvents(situation(4_000))).toBe(Number.POSITIVE_INFINITY)
    const without = { lagEvents: undefined, lagMs: undefined, memory: undefined }
    expect(askAfterEvents({ ...calm, marks: without })).toBe(Number.POSITIVE_INFINITY)
  })
})

describe('the rate of the slowest reader', () => {
  it('is taken over some seconds, because positions are stored in steps', () => {
    const drain = new DrainRate()
    for (let ms = 0; ms <= 1_000; ms += 250) drain.sample(0, ms)
    expect(drain.perSecond).toBeUndefined()
    for (let ms = 1_250; ms <= 20_000; ms += 250) drain.sample(Math.floor(ms / 1_300) * 1_300, ms)
    expect(drain.perSecond).toBeGreaterThan(700)
    expect(drain.perSecond).toBeLessThan(1_300)
  })

  it('begins anew when another reader is the slowest, and is 0 of one that stands still', () => {
    const drain = new DrainRate()
    for (let ms = 0; ms <= 3_000; ms += 250) drain.sample(10_000 + ms, ms)
    expect(drain.perSecond).toBe(1_000)
    drain.sample(50, 3_250)
    expect(drain.perSecond).toBeUndefined()
    for (let ms = 3_500; ms <= 6_000; ms += 250) drain.sample(50, ms)
    expect(drain.perSecond).toBe(0)
  })
})
