import { expect, test } from 'vitest'
import { plot } from '../src/harness/plot.ts'

test('a series is drawn with its greatest value, its bound and its time', () => {
  const text = plot({
    name: 'delay: stream length',
    unit: 'events',
    bound: 40_000,
    points: Array.from({ length: 600 }, (_, second) => [second + 1, second < 300 ? 12_000 : 6_000]),
  })
  const [title, top, ...rest] = text.split('\n')
  expect(title).toBe('delay: stream length (events; greatest 12,000, at most 40,000)')
  expect(top).toBe(`12,000 │${'█'.repeat(37)}`)
  expect(rest.at(2)).toBe(`       │${'█'.repeat(72)}`)
  expect(rest.at(-1)).toMatch(/^ +0 s +600 s$/)
})

test('what is never more than nothing is drawn as well, and so is what was looked at rarely', () => {
  const flat = plot({ name: 'nothing', unit: 'events', points: [[1, 0]] })
  expect(flat).toContain('(events; greatest 0)')
  const rare = plot({
    name: 'rare',
    unit: 'MiB',
    points: [
      [0, 1.234_5],
      [100, 1.234_5],
    ],
  })
  expect(rare.split('\n')[1]).toBe(`1.23 │${'█'.repeat(72)}`)
})
