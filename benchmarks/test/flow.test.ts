import { expect, test } from 'vitest'
import { acceptedIn, handledIn, missing, resumedUs, waitsOver } from '../src/recovery/flow.ts'

const handled = (...records: number[][]): ReturnType<typeof handledIn> =>
  handledIn([Float64Array.from(records.flat())])

test('of repeated events the first handling counts, in whichever journal it is', () => {
  const found = handledIn([
    Float64Array.from([1, 10, 90]),
    Float64Array.from([1, 10, 20, 2, 30, 40]),
  ])
  expect(found.get(1)?.handledUs).toBe(20)
  expect(found.size).toBe(2)
})

test('an accepted event that nobody has handled is missing', () => {
  const accepted = acceptedIn([Float64Array.from([1, 10, 2, 30])])
  expect(missing(accepted, handled([1, 10, 20]))).toEqual([2])
})

test('the flow has not resumed while no later event has been handled', () => {
  expect(resumedUs(handled([1, 10, 500]).values(), 100)).toBeUndefined()
})

test('the flow has resumed with the first later event, if all earlier ones have been handled', () => {
  expect(resumedUs(handled([1, 10, 20], [2, 150, 400], [3, 160, 410]).values(), 100)).toBe(400)
})

test('an earlier event that is handled later than that counts', () => {
  expect(resumedUs(handled([1, 10, 900], [2, 150, 400]).values(), 100)).toBe(900)
})

test('waits are the greatest of each fifth of a second', () => {
  expect(
    waitsOver(handled([1, 0, 1e6], [2, 100_000, 300_000], [3, 250_000, 260_000]).values(), 0),
  ).toEqual([
    [0, 1],
    [0.2, 0.01],
  ])
})
