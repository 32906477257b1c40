import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatHost, identifyHost, isProvablyGone } from '../../src/lease/host.ts'
import {
  abortAtMs,
  beatEveryMs,
  lookEveryMs,
  type Observation,
  observe,
} from '../../src/lease/observation.ts'

const seen = { token: '1-a', beat: 7, leaseMs: 4_000 }

function since(sinceMs: number, lastLookMs: number): Observation {
  return { seen, sinceMs, lastLookMs }
}

describe('Observing a lease', () => {
  it.each([
    ['the first look waits', undefined, seen, 0, 'wait'],
    ['a beat that has stood for less than a lease waits', since(0, 2_500), seen, 3_999, 'wait'],
    ['a beat that has stood for a lease is taken over', since(0, 3_000), seen, 4_000, 'take-over'],
    ['a raised beat starts again', since(0, 3_900), { ...seen, beat: 8 }, 4_000, 'wait'],
    ['another holder starts it again', since(0, 3_900), { ...seen, token: '2-b' }, 4_000, 'wait'],
    ['looks more than half a lease apart start it again', since(0, 1_000), seen, 4_000, 'wait'],
    ['looks half a lease apart count', since(0, 2_000), seen, 4_000, 'take-over'],
  ] as const)('%s', (_title, previous, beat, nowMs, action) => {
    expect(observe(previous, beat, nowMs).action).toBe(action)
  })

  it('never takes over from a holder that beats, whenever the looks fall', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 500, max: 10_000 }),
        fc.array(fc.integer({ min: 1, max: 5_000 }), { maxLength: 100 }),
        (leaseMs, gaps) => {
          let observation: Observation | undefined
          let nowMs = 0
          for (const gap of gaps) {
            nowMs += gap
            const beat = Math.floor(nowMs / beatEveryMs(leaseMs))
            const verdict = observe(observation, { token: '1-a', beat, leaseMs }, nowMs)
            expect(verdict.action).toBe('wait')
            observation = verdict.observation
          }
        },
      ),
    )
  })

  it('takes over from a silent holder after one lease, and within 1.4 with the looks that are made', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 500, max: 60_000 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (leaseMs, phase) => {
          // The holder beat for the last time at 0; the candidate looks at its own pace from some moment on.
          const everyMs = lookEveryMs(leaseMs)
          let observation: Observation | undefined
          for (let nowMs = phase * everyMs; ; nowMs += everyMs) {
            const verdict = observe(observation, { token: '1-a', beat: 3, leaseMs }, nowMs)
            observation = verdict.observation
            if (verdict.action === 'wait') continue
            expect(nowMs).toBeGreaterThanOrEqual(leaseMs)
            expect(nowMs).toBeLessThanOrEqual(leaseMs + 2 * everyMs)
            expect(nowMs).toBeGreaterThan(abortAtMs(0, leaseMs))
            break
          }
        },
      ),
    )
  })
})

describe('The identity of a host', () => {
  it('is this very process, and that is not gone', () => {
    const here = identifyHost()
    expect(here).toMatchObject({ pid: process.pid })
    expect(isProvablyGone(formatHost(here), here)).toBe(false)
  })

  it('is gone when no process has its id, or another one has', () => {
    const here = identifyHost()
    if (here === undefined) throw new Error('this system does not tell')
    expect(isProvablyGone(formatHost({ ...here, pid: 2 ** 22 + 1 }), here)).toBe(true)
    expect(isProvablyGone(formatHost({ ...here, startTime: '1' }), here)).toBe(true)
  })

  it('is never called gone where anything is unknown or from another machine', () => {
    const here = identifyHost()
    if (here === undefined) throw new Error('this system does not tell')
    const gone = { ...here, pid: 2 ** 22 + 1 }
    expect(isProvablyGone(formatHost(gone), undefined)).toBe(false)
    expect(isProvablyGone(formatHost(undefined), here)).toBe(false)
    expect(isProvablyGone('', here)).toBe(false)
    for (const other of ['bootId', 'pidNamespace', 'timeNamespace'] as const) {
      expect(isProvablyGone(formatHost({ ...gone, [other]: 'elsewhere' }), here)).toBe(false)
    }
    expect(isProvablyGone(formatHost({ ...gone, pid: -1 }), here)).toBe(false)
  })
})
