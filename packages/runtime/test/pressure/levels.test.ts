import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import {
  afterFigures,
  afterRefusal,
  afterSuccess,
  CALM,
  causesOf,
  type Levels,
  levelAfter,
  levelOf,
} from '../../src/pressure/levels.ts'
import type { Marks, MarksByMeasure } from '../../src/pressure/options.ts'
import type { PressureFigures, PressureLevel } from '../../src/pressure/pressure.ts'

const marks: Marks = { low: 10, high: 20, critical: 40 }
const all: MarksByMeasure = {
  lagEvents: marks,
  lagMs: marks,
  memory: { low: 0.5, high: 0.6, critical: 0.8 },
}

function figures(some: Partial<PressureFigures> = {}): PressureFigures {
  return {
    length: 100,
    slowest: 'board',
    lagEvents: 0,
    isLagKnown: true,
    lagMs: 0,
    memory: undefined,
    ...some,
  }
}

const used = (usedBytes: number): Partial<PressureFigures> => ({
  memory: { usedBytes, maxBytes: 100 },
})

/** The levels that follow from values, one after the other. */
function levelsOf(values: readonly number[]): PressureLevel[] {
  let level: PressureLevel = 'normal'
  return values.map((value) => (level = levelAfter(level, value, marks)))
}

describe('the level of a measure', () => {
  it('rises at its marks and falls only below the mark before', () => {
    expect(levelsOf([0, 19, 20, 19, 10, 9.9, 19])).toEqual([
      'normal',
      'normal',
      'high',
      'high',
      'high',
      'normal',
      'normal',
    ])
    expect(levelsOf([40, 39, 20, 19.9, 39, 40, 5])).toEqual([
      'critical',
      'critical',
      'critical',
      'high',
      'high',
      'critical',
      'normal',
    ])
  })

  it('never changes while the value stays between two neighbouring marks', () => {
    const between = [
      [0, 10],
      [10, 20],
      [20, 40],
      [40, 1_000],
    ] as const
    fc.assert(
      fc.property(
        fc.constantFrom<PressureLevel>('normal', 'high', 'critical'),
        fc.constantFrom(...between),
        fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { minLength: 2 }),
        (before, [from, to], shares) => {
          const seen = new Set<PressureLevel>()
          let level = before
          for (const share of shares) {
            level = levelAfter(level, from + share * (to - from), marks)
            seen.add(level)
          }
          expect(seen.size).toBe(1)
        },
      ),
    )
  })

  it('is normal below low and critical from critical on, whatever it was', () => {
    for (const before of ['normal', 'high', 'critical'] as const) {
      expect(levelAfter(before, 9, marks)).toBe('normal')
      expect(levelAfter(before, 40, marks)).toBe('critical')
    }
  })
})

describe('the level of a stream', () => {
  it('is that of the worst measure, and names all that are above their marks', () => {
    const levels = afterFigures(CALM, figures({ lagEvents: 25, lagMs: 45, ...used(40) }), all)
    expect(levelOf(levels)).toBe('critical')
    expect(causesOf(levels)).toEqual(['lagEvents', 'lagMs'])
    expect(levelOf(afterFigures(levels, figures({ lagEvents: 15 }), all))).toBe('high')
    expect(levelOf(afterFigures(levels, figures(), all))).toBe('normal')
  })

  it('does not look at what has no marks or cannot be read', () => {
    const none: MarksByMeasure = { lagEvents: undefined, lagMs: undefined, memory: undefined }
    const worst = figures({ lagEvents: 1e9, lagMs: 1e9, ...used(100) })
    expect(afterFigures(CALM, worst, none)).toEqual(CALM)
    expect(afterFigures(CALM, figures(), all)).toEqual(CALM)
  })

  it('is critical once Redis has run out of memory, and then until memory is below its marks', () => {
    let levels: Levels = afterRefusal(CALM, all)
    expect([levelOf(levels), causesOf(levels)]).toEqual(['critical', ['outOfMemory', 'memory']])
    levels = afterFigures(levels, figures(used(101)), all)
    expect(causesOf(levels)).toEqual(['outOfMemory', 'memory'])
    levels = afterFigures(levels, figures(used(79)), all)
    expect([levelOf(levels), causesOf(levels)]).toEqual(['critical', ['memory']])
    levels = afterFigures(levels, figures(used(55)), all)
    expect(levelOf(levels)).toBe('high')
    expect(levelOf(afterFigures(levels, figures(used(49)), all))).toBe('normal')
  })

  it('is over with the first event that is stored, where nothing else is watched', () => {
    const none: MarksByMeasure = { lagEvents: undefined, lagMs: undefined, memory: undefined }
    const levels = afterRefusal(CALM, none)
    expect(levelOf(levels)).toBe('critical')
    expect(afterSuccess(levels)).toEqual(CALM)
    expect(afterFigures(levels, figures(), none)).toEqual(CALM)
    expect(afterFigures(levels, figures(used(100)), none).outOfMemory).toBe(true)
  })
})
