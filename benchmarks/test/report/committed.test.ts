import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { outputs, RESULTS, root, writtenPages } from '../../src/report/outputs.ts'
import { isQuick, readResults } from '../../src/report/results.ts'
import { unmarkedFigures } from './unmarked-figures.ts'

// What is committed: the results of the benchmarks, and the pages that are made of them.

const results = await readResults(join(root, RESULTS))

test.each([...outputs(results)])(
  '%s is what `npm run bench:report` makes of the results',
  (path, text) => {
    const committed = existsSync(join(root, path)) ? readFileSync(join(root, path), 'utf8') : ''
    expect(committed === text, `${path} is stale: npm run bench:report`).toBe(true)
  },
)

test('the results are of full runs', () => {
  expect([...results.values()].filter(isQuick).map(({ benchmark }) => benchmark)).toEqual([])
})

describe.each(writtenPages())('%s', (path) => {
  const page = readFileSync(join(root, path), 'utf8')

  test('has no measured figure without a marker that says where it comes from', () => {
    expect(unmarkedFigures(page)).toEqual([])
  })
})
