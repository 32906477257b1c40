import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { backoffMs, hashOfId, resolveBackoff } from '../../src/delivery/retry-schedule.ts'

const attempt = fc.integer({ min: 1, max: 200 })
const id = fc.tuple(fc.nat(), fc.nat()).map(([ms, sequence]) => `${ms}-${sequence}`)

describe('the retry schedule', () => {
  it('doubles from the first wait to the greatest, without jitter', () => {
    const backoff = resolveBackoff({ firstMs: 100, greatestMs: 1_000, factor: 2, jitter: 0 }, [])
    expect([1, 2, 3, 4, 5, 6].map((n) => backoffMs(n, 7, backoff))).toEqual([
      100, 200, 400, 800, 1_000, 1_000,
    ])
  })

  it('stays between the part that jitter leaves and the whole wait', () => {
    const backoff = resolveBackoff({ jitter: 0.5 }, [])
    fc.assert(
      fc.property(attempt, id, (n, eventId) => {
        const waitMs = backoffMs(n, hashOfId(eventId), backoff)
        const fullMs = Math.min(200 * 2 ** (n - 1), 30_000)
        return waitMs >= Math.floor(fullMs / 2) && waitMs <= fullMs
      }),
    )
  })

  it('is a function of the event alone, the same in every process and version', () => {
    const backoff = resolveBackoff(undefined, [])
    const waits = (eventId: string): number[] =>
      [1, 2, 3, 10].map((n) => backoffMs(n, hashOfId(eventId), backoff))
    expect(waits('1700000000000-0')).toEqual([128, 278, 736, 17073])
    expect(waits('1700000000000-1')).toEqual([128, 321, 716, 19001])
  })

  it('spreads the events of one batch over the jitter', () => {
    const backoff = resolveBackoff({ firstMs: 1_000, jitter: 1 }, [])
    const waits = Array.from({ length: 1_000 }, (_, i) =>
      backoffMs(1, hashOfId(`1700000000000-${i}`), backoff),
    )
    for (let tenth = 0; tenth < 10; tenth++) {
      const inTenth = waits.filter((ms) => ms >= tenth * 100 && ms < (tenth + 1) * 100).length
      expect(inTenth).toBeGreaterThan(50)
    }
  })

  it('lists all problems of its options', () => {
    const problems: string[] = []
    resolveBackoff({ firstMs: 0, jitter: 2, factor: 0.5 }, problems)
    expect(problems).toHaveLength(3)
  })
})
