import { expect, test } from 'vitest'
import { type Declaration, problemsOf } from '../../src/index.ts'

const handled: Declaration<'stream'> = {
  source: 'process',
  name: 'millrace_handled_total',
  type: 'counter',
  unit: 'deliveries',
  labels: ['stream'],
  meaning: 'Deliveries that a handler is done with',
  worry: '',
}

test('a declaration that keeps the conventions has no problems', () => {
  expect(problemsOf(handled)).toEqual([])
})

test.each<[Partial<Declaration>, string]>([
  [{ name: 'Handled_total' }, 'a name has lower-case letters, digits and underscores'],
  [{ name: 'millrace_handled' }, 'counters, and only they, end in _total'],
  [{ type: 'gauge' }, 'counters, and only they, end in _total'],
  [{ unit: 'seconds' }, 'seconds are named, and nothing else is'],
  [{ name: 'millrace_handled_bytes_total' }, 'bytes are named, and nothing else is'],
  [{ unit: 'timestamp' }, 'points in time are named as such'],
  [{ buckets: [1] }, 'histograms, and only they, have buckets'],
  [{ labels: ['Stream'] }, 'labels are lower-case words'],
  [{ labels: ['stream', 'stream'] }, 'labels are named once'],
  [{ labels: ['le'] }, 'le and quantile are taken'],
  [{ meaning: 'Deliveries.' }, 'the meaning is a sentence without a full stop'],
])('%o is told that %s', (change, problem) => {
  const declaration: Declaration = { ...handled, ...change }
  expect(problemsOf(declaration)).toEqual([`${declaration.name}: ${problem}`])
})

test('a histogram has bounds that rise', () => {
  const histogram: Declaration = { ...handled, name: 'millrace_seconds', type: 'histogram' }
  const waited: Declaration = { ...histogram, name: 'millrace_wait_seconds', unit: 'seconds' }
  expect(problemsOf({ ...waited, buckets: [0.1, 1] })).toEqual([])
  expect(problemsOf({ ...waited, buckets: [1, 1] })).toEqual([
    'millrace_wait_seconds: buckets rise',
  ])
})
