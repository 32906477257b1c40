import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readResults } from '../../src/report/results.ts'
import { sampleCriterion, sampleResult } from './sample-results.ts'

let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'millrace-results-'))
})
afterEach(async () => {
  await rm(directory, { recursive: true })
})

const write = (name: string, content: unknown): Promise<void> =>
  writeFile(join(directory, name), typeof content === 'string' ? content : JSON.stringify(content))

test('results are read by name; a folder that is not there has none', async () => {
  const result = sampleResult('latency', { criteria: [sampleCriterion('a')], ratios: { b: 1 } })
  await write('latency.json', result)
  expect([...(await readResults(directory))]).toEqual([['latency', result]])
  expect(await readResults(join(directory, 'nowhere'))).toEqual(new Map())
})

test('a figure that is no number stays none', async () => {
  await write('latency.json', sampleResult('latency', { ratios: { b: Number.NaN } }))
  expect((await readResults(directory)).get('latency')?.ratios['b']).toBeNaN()
})

test.each([
  ['latency.json', '', /latency\.json is empty/],
  ['latency.json', '{', /latency\.json is not JSON/],
  ['latency.json', { benchmark: 'latency' }, /latency\.json is no result: .*criteria/s],
  ['fast.json', sampleResult('latency'), /fast\.json is a result of latency/],
])('%s with %j is refused', async (name, content, reason) => {
  await write(name, content)
  await expect(readResults(directory)).rejects.toThrow(reason)
})
