import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type Course,
  courseAfter,
  type Look,
  type Verdict,
  VERDICTS,
  verdictOf,
} from '../../src/fleet/verdict.ts'

const BOUNDS = { windowMs: 300_000, patienceMs: 60_000, maxLagMs: 120_000 }
const calm: Look = {
  atMs: 0,
  position: '5-0',
  lag: 0,
  lagMs: 0,
  pending: 0,
  oldestPendingId: '',
  isManned: true,
}

/** The verdict after looks ten seconds apart. */
function judge(looks: readonly Partial<Look>[], everyMs = 10_000): Verdict {
  let course: Course | undefined
  for (const [index, look] of looks.entries()) {
    course = courseAfter(course, { ...calm, atMs: index * everyMs, ...look }, BOUNDS)
  }
  if (course === undefined) throw new Error('no looks')
  return verdictOf(course, BOUNDS)
}

const times = (count: number, look: (index: number) => Partial<Look>): Partial<Look>[] =>
  Array.from({ length: count }, (_, index) => look(index))

describe('The verdict on a group', () => {
  it('is ok when nothing waits, whoever is or is not there', () => {
    expect(judge([{}])).toBe('ok')
    expect(judge(times(100, () => ({ isManned: false })))).toBe('ok')
  })

  it('is ok while a burst is worked off, also one that takes longer than the window', () => {
    const burst = times(60, (i) => ({
      lag: 6_000 - i * 100,
      lagMs: 50_000,
      position: `${i + 1}-0`,
    }))
    expect(judge(burst)).toBe('ok')
  })

  it('is stopped when events have waited for the whole patience and nobody is there', () => {
    const waiting = { lag: 3, lagMs: 1, isManned: false }
    expect(judge([{}, ...times(6, () => waiting)])).toBe('ok')
    expect(judge([{}, ...times(7, () => waiting)])).toBe('stopped')
  })

  it('is stalled when somebody is there all the same, or nobody can tell', () => {
    for (const isManned of [true, undefined]) {
      const waiting = { lag: 3, lagMs: 1, isManned }
      expect(judge([{}, ...times(7, () => waiting)])).toBe('stalled')
    }
  })

  it('is stalled when nothing is acked although everything was read', () => {
    const hanging = { pending: 4, oldestPendingId: '1-0' }
    expect(judge([{}, ...times(7, () => hanging)])).toBe('stalled')
    const acking = times(8, (i) => ({ pending: 4, oldestPendingId: `${i + 1}-0` }))
    expect(judge([{}, ...acking])).toBe('ok')
    const fewer = times(8, (i) => ({ pending: 40 - i, oldestPendingId: '1-0' }))
    expect(judge([{}, ...fewer])).toBe('ok')
  })

  it('counts the patience from when events began to wait', () => {
    const quiet = times(100, () => ({}))
    expect(judge([...quiet, { lag: 1 }])).toBe('ok')
  })

  it('is lagging when lag grew over the window and never was worked off', () => {
    const growing = (count: number): Partial<Look>[] =>
      times(count, (i) => ({ lag: 10 + i, position: `${i + 1}-0` }))
    expect(judge(growing(30))).toBe('ok')
    expect(judge(growing(32))).toBe('lagging')
    const reset = growing(40).with(35, { lag: 0, position: '36-0' })
    expect(judge(reset)).toBe('ok')
  })

  it('does not forget a moment without lag because looks are frequent', () => {
    const looks = times(400, (i) => ({ lag: i === 377 ? 0 : 10 + i, position: `${i + 1}-0` }))
    expect(judge(looks, 1_000)).toBe('ok')
    expect(judge(looks.with(377, { lag: 400, position: '378-0' }), 1_000)).toBe('lagging')
  })

  it('is lagging when the oldest event waits for too long, though lag falls', () => {
    const late = times(5, (i) => ({ lag: 100 - i, lagMs: 120_001, position: `${i + 1}-0` }))
    expect(judge(late)).toBe('lagging')
  })

  it('is rewound for one window after the position went back', () => {
    const back = [{ position: '9-0' }, { position: '3-0' }]
    expect(judge(back)).toBe('rewound')
    expect(judge([...back, ...times(28, () => ({ position: '9-0' }))])).toBe('rewound')
    expect(judge([...back, ...times(30, () => ({ position: '9-0' }))])).toBe('ok')
  })

  it('keeps a bounded number of marks, and always answers one of the verdicts', () => {
    const look = fc.record({
      position: fc.nat(20).map((ms) => `${ms}-0`),
      lag: fc.nat(3),
      lagMs: fc.nat(200_000),
      pending: fc.nat(2),
      isManned: fc.constantFrom(true, false, undefined),
    })
    fc.assert(
      fc.property(
        fc.array(look, { minLength: 1, maxLength: 300 }),
        fc.nat(20_000),
        (looks, every) => {
          let course: Course | undefined
          for (const [index, one] of looks.entries()) {
            const next = { ...calm, ...one, oldestPendingId: '', atMs: index * (every + 1) }
            course = courseAfter(course, next, BOUNDS)
            expect(course.lags.length).toBeLessThan(70)
            expect(VERDICTS).toContain(verdictOf(course, BOUNDS))
          }
        },
      ),
      { numRuns: 50 },
    )
  })
})
