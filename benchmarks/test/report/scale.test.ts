import { describe, expect, test } from 'vitest'
import { scaleOf } from '../../src/report/plots/scale.ts'

describe('ticks are round values around all that is shown', () => {
  test.each([
    ['linear', [0, 87], [0, 50, 100]],
    ['linear', [3, 4], [0, 1, 2, 3, 4]],
    ['linear', [-2, 9.5], [-5, 0, 5, 10]],
    ['linear', [0, 0], [0, 1]],
    ['log', [0.2, 30], [0.1, 1, 10, 100]],
    ['log', [1, 1_000], [1, 10, 100, 1_000]],
    ['nines', [0.01, 0.999], [0.5, 0.9, 0.99, 0.999]],
  ] as const)('%s %j', (kind, values, ticks) => {
    expect(scaleOf(kind, values).ticks).toEqual(ticks)
  })
})

test('an axis may end where its values end', () => {
  const scale = scaleOf('linear', [-2, 21], { ends: 'values' })
  expect([scale.ticks, scale.at(-2), scale.at(21)]).toEqual([[0, 10, 20], 0, 1])
})

test('values lie between the ends of the axis, in order', () => {
  const scale = scaleOf('log', [1, 1_000])
  expect([1, 10, 1_000].map((value) => scale.at(value))).toEqual([0, 1 / 3, 1])
})

test('each further nine takes as much room as the one before', () => {
  const scale = scaleOf('nines', [0, 0.999])
  expect(scale.at(0.99) - scale.at(0.9)).toBeCloseTo(scale.at(0.999) - scale.at(0.99))
})

test('what has no place on a logarithmic axis lies at its beginning', () => {
  expect(scaleOf('log', [0, 1, 100]).at(0)).toBe(0)
})
