import { expect, test } from 'vitest'
import { table } from '../src/harness/table.ts'

test('the first column is aligned to the left and the others to the right', () => {
  const text = table(
    ['name', 'rate'],
    [
      ['a', '1'],
      ['longer', '10,000'],
    ],
  )
  expect(text).toBe(
    ['name      rate', '------  ------', 'a            1', 'longer  10,000'].join('\n'),
  )
})
