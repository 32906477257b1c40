import { expect, test } from 'vitest'
import { summary } from '../src/screen/summary.ts'
import { table } from '../src/screen/table.ts'

test('a table has its names on the left and its figures on the right', () => {
  expect(
    table([
      ['', 'lag'],
      ['board', '1,000'],
    ]),
  ).toEqual(['         lag', 'board  1,000'])
})

test('the summary says it when something was lost', () => {
  const one = { received: 2, distinct: 2, outOfOrder: 0, duplicates: 0, p50Ms: 1, p99Ms: 2 }
  const lines = summary({
    published: 3,
    consumers: { board: { ...one, lost: 1 } },
    recoveryMs: null,
    recovery: { boardRestartMs: null, workerTakeoverMs: null, workerEvents: null },
    publishedOutOfOrder: 0,
    migration: null,
    ok: false,
  })
  expect(lines.at(-1)).toContain('LOST')
})
