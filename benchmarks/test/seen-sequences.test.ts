import { expect, test } from 'vitest'
import { SeenSequences } from '../src/backpressure/seen-sequences.ts'

test('different numbers and those that come again are told apart, however many and in any order', () => {
  const seen = new SeenSequences(1_000_000)
  for (let n = 0; n < 1_200_000; n += 3) seen.add(1_000_000 + n)
  expect([seen.different, seen.again]).toEqual([400_000, 0])
  for (let n = 1_199_997; n >= 0; n -= 3) seen.add(1_000_000 + n)
  expect([seen.different, seen.again]).toEqual([400_000, 400_000])
})
