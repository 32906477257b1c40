import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runBenchmarks } from '../../src/report/run-benchmarks.ts'

test('a benchmark that comes to no end leaves the result from before', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-results-'))
  try {
    const before = join(directory, 'nowhere.json')
    await writeFile(before, '"from before"')
    // The program refuses the name, and writes no result.
    const ran = await runBenchmarks({ names: ['nowhere'], quick: true, directory })
    expect(ran).toEqual({ failed: [], unfinished: ['nowhere'] })
    expect(await readFile(before, 'utf8')).toBe('"from before"')
  } finally {
    await rm(directory, { recursive: true })
  }
})

test('with nothing to run nothing is touched', async () => {
  const ran = await runBenchmarks({ names: [], quick: false, directory: '/nowhere/at/all' })
  expect(ran).toEqual({ failed: [], unfinished: [] })
})
