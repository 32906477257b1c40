import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { expectedMicros, lotsOf } from '../../src/fleet/courtesy.ts'

describe('What is sent to a server at once', () => {
  it('is everything in order, as much as may be, and never more than one command that takes longer', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 300 })),
        fc.integer({ min: 1, max: 500 }),
        (micros, most) => {
          const lots = [...lotsOf(micros, most)].map(({ from, to }) => micros.slice(from, to))
          expect(lots.flat()).toEqual(micros)
          for (const [index, lot] of lots.entries()) {
            const sum = lot.reduce((a, b) => a + b, 0)
            expect(lot.length === 1 || sum <= most).toBe(true)
            const [next] = lots[index + 1] ?? []
            if (next !== undefined) expect(sum + next).toBeGreaterThan(most)
          }
        },
      ),
    )
  })

  it('goes by what commands take: scripts alone, small ones many together', () => {
    const lotsFor = (name: string): number =>
      [...lotsOf(Array(20).fill(expectedMicros([name, 'key'])), 100)].length
    expect(lotsFor('evalsha_ro')).toBe(20)
    expect(lotsFor('xinfo')).toBe(5)
    expect(lotsFor('hgetall')).toBe(1)
  })
})
