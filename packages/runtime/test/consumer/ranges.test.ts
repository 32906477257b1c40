import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatAttempts, parseAttempts } from '../../src/consumer/attempts.ts'
import { formatRanges, inRanges, parseRanges, type Range } from '../../src/consumer/ranges.ts'

/** Ranges in order, made of numbers that ids are made of, with at least one id between two of them. */
const numberRanges = fc
  .array(fc.nat(3_000), { minLength: 2, maxLength: 80 })
  .map((numbers) => [...new Set(numbers)].toSorted((a, b) => a - b))
  .map((sorted) => {
    const ranges: [number, number][] = []
    for (let i = 0; i + 1 < sorted.length; i += 2) {
      const [from, to] = [sorted[i], sorted[i + 1]]
      if (from !== undefined && to !== undefined) ranges.push([from, to])
    }
    return ranges
  })

function idOf(number: number): string {
  return `${9_999 + Math.floor(number / 10)}-${number % 10}`
}

function rangesOf(numbers: readonly (readonly [number, number])[]): Range[] {
  return numbers.map(([from, to]) => ({ from: idOf(from), to: idOf(to) }))
}

describe('Ranges of events that are done above the position', () => {
  it('come back from their text as they were', () => {
    fc.assert(
      fc.property(numberRanges, (numbers) => {
        const ranges = rangesOf(numbers)
        expect(parseRanges(formatRanges(ranges))).toEqual(ranges)
      }),
    )
    expect(parseRanges('')).toEqual([])
    expect(formatRanges([])).toBe('')
  })

  it('hold exactly the ids from the first to the last of each', () => {
    fc.assert(
      fc.property(numberRanges, fc.nat(3_010), (numbers, probe) => {
        const expected = numbers.some(([from, to]) => probe >= from && probe <= to)
        expect(inRanges(rangesOf(numbers), idOf(probe))).toBe(expected)
      }),
      { numRuns: 1_000 },
    )
  })
})

describe('Attempts of failed events', () => {
  it('come back from their text as they were', () => {
    const entries = fc.array(fc.tuple(fc.nat(1_000).map(idOf), fc.integer({ min: 1, max: 1_000 })))
    fc.assert(
      fc.property(entries, (pairs) => {
        const attempts = new Map(pairs)
        expect(parseAttempts(formatAttempts(attempts))).toEqual(attempts)
      }),
    )
  })
})
