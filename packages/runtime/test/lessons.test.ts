import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

/** `spec.test.ts` checks that the tests that the page names exist. */
const page = readFileSync(new URL('../LESSONS.md', import.meta.url), 'utf8')

const lessons = page.split(/\n(?=- \*\*\d+\*\*)/).slice(1)

test('the page has each of the thirty-six once', () => {
  const numbers = lessons.map((lesson) => Number(/^- \*\*(\d+)\*\*/.exec(lesson)?.[1]))
  expect(numbers.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 36 }, (_, i) => i + 1))
})

test('each has a test, or the reason why it needs none', () => {
  const unshown = lessons.filter(
    (lesson) => !/\n {2}(?:Enforced by: \S+\.test\.ts: \S|Does not apply: \S)/.test(lesson),
  )
  expect(unshown).toEqual([])
})
