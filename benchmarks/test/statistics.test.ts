import { describe, expect, test } from 'vitest'
import {
  median,
  percentile,
  shareWithin,
  spreadOf,
  trimmedMean,
} from '../src/harness/statistics.ts'

describe('percentile', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => index + 1)

  test('is a value that was measured, by the nearest rank', () => {
    expect(percentile(hundred, 0.5)).toBe(50)
    expect(percentile(hundred, 0.95)).toBe(95)
    expect(percentile(hundred, 0.99)).toBe(99)
    expect(percentile([1, 2, 3], 0.99)).toBe(3)
  })

  test('reaches from the least to the greatest', () => {
    expect(percentile(hundred, 0)).toBe(1)
    expect(percentile(hundred, 1)).toBe(100)
  })

  test('of no samples is an error, not a number', () => {
    expect(() => percentile([], 0.5)).toThrow(/no samples/)
  })
})

describe('median', () => {
  test('is the middle, whatever the order', () => {
    expect(median([9, 1, 5])).toBe(5)
  })

  test('of an even number of values is between the two in the middle', () => {
    expect(median([4, 1, 2, 100])).toBe(3)
  })

  test('sorts by size and leaves the values as they were', () => {
    const values = [10, 9, 100]
    expect(median(values)).toBe(10)
    expect(values).toEqual([10, 9, 100])
  })

  test('of nothing is an error', () => {
    expect(() => median([])).toThrow(/no values/)
  })
})

test('a spread sorts by size', () => {
  expect(spreadOf([100, 9, 20])).toEqual({ p50: 20, p95: 100, p99: 100, max: 100 })
})

test('a share counts what is at the limit, too', () => {
  expect(shareWithin([1, 2, 3, 4], 3)).toBe(0.75)
  expect(() => shareWithin([], 3)).toThrow(/no samples/)
})

test('a trimmed mean leaves out the greatest, and of few values none', () => {
  expect(trimmedMean([100, 1, 3, 2, 2], 0.2)).toBe(2)
  expect(trimmedMean([100, 2], 0.2)).toBe(51)
  expect(() => trimmedMean([], 0.2)).toThrow(/no values/)
})
