import { expect, test } from 'vitest'
import { thinned } from '../src/harness/thinned.ts'

const ascending = Array.from({ length: 600 }, (_, at) => [at, at] as const)

test('as many points as there may be stay as they are', () => {
  expect(thinned(ascending, 600)).toBe(ascending)
})

test('of more, each peak stays with its time', () => {
  const peaks = ascending.map(([at]) => [at, at % 100 === 57 ? at : 1] as const)
  const thin = thinned(peaks, 150)
  expect(thin).toHaveLength(150)
  expect(thin.filter(([, value]) => value > 1)).toEqual(peaks.filter(([, value]) => value > 1))
})

test('there are never more than asked for', () => {
  for (const length of [601, 150, 151, 299, 1])
    expect(thinned(ascending.slice(0, length), 150).length).toBeLessThanOrEqual(150)
})
