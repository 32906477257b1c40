import { expect, test } from 'vitest'
import { Samples } from '../src/harness/samples.ts'

function samplesOf(...all: [round: number, variant: string, perSecond: number][]): Samples {
  const samples = new Samples()
  for (const [round, variant, perSecond] of all) {
    samples.add({ round, variant, figures: { perSecond } })
  }
  return samples
}

test('a ratio compares what was measured in the same round', () => {
  // The machine was four times as slow in the second round, for both.
  const samples = samplesOf([1, 'ours', 200], [1, 'floor', 100], [2, 'floor', 25], [2, 'ours', 50])
  expect(samples.ratio('perSecond', 'ours', 'floor')).toBe(2)
})

test('rounds in which one of the two did not take part do not count', () => {
  const samples = samplesOf([1, 'ours', 80], [1, 'peer', 10], [2, 'ours', 1])
  expect(samples.ratio('perSecond', 'ours', 'peer')).toBe(8)
})

test('a ratio without a common round is an error', () => {
  const samples = samplesOf([1, 'ours', 80], [2, 'peer', 10])
  expect(() => samples.ratio('perSecond', 'ours', 'peer')).toThrow(/share no round/)
})

test('medians and greatest values go over all rounds', () => {
  const samples = samplesOf([1, 'ours', 3], [2, 'ours', 9], [3, 'ours', 4])
  expect(samples.median('ours', 'perSecond')).toBe(4)
  expect(samples.greatest('ours', 'perSecond')).toBe(9)
})

test('what was not measured is an error', () => {
  const samples = samplesOf([1, 'ours', 3])
  expect(() => samples.median('theirs', 'perSecond')).toThrow(/theirs was not measured/)
  expect(() => samples.median('ours', 'p99Ms')).toThrow(/did not measure p99Ms/)
})
