import { expect, test } from 'vitest'
import { resultText } from '../src/harness/result-file.ts'
import { sampleResult } from './report/sample-results.ts'

test('a point of a series takes one line, and nothing of the result changes', () => {
  const result = sampleResult('recovery', {
    values: { a: 1 },
    notes: ['[\n  1,\n  2\n]'],
    series: [
      {
        name: 'restart',
        unit: 's',
        points: [
          [-1, 0.001],
          [2.5e-7, 3e21],
        ],
      },
    ],
  })
  const text = resultText(result)
  expect(JSON.parse(text)).toEqual(result)
  expect(text).toContain('\n        [-1, 0.001],\n        [2.5e-7, 3e+21]\n')
})
