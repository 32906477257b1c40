import { expect, test } from 'vitest'
import { Judge } from '../src/harness/criterion.ts'

test('a full run is held to the target', () => {
  const judge = new Judge(false)
  judge.atLeast('speed', 1, { target: 1.2, quick: 0.5 }, '×')
  judge.atMost('delay', 4, { target: 5, quick: 50 }, 'ms')
  expect(judge.criteria).toEqual([
    {
      id: 'speed',
      measured: 1,
      limit: 1.2,
      unit: '×',
      pass: false,
      direction: 'at least',
      bound: 'target',
    },
    {
      id: 'delay',
      measured: 4,
      limit: 5,
      unit: 'ms',
      pass: true,
      direction: 'at most',
      bound: 'target',
    },
  ])
})

test('a quick run is held to the loose bound, and says so', () => {
  const judge = new Judge(true)
  judge.atLeast('speed', 1, { target: 1.2, quick: 0.5 }, '×')
  expect(judge.criteria[0]).toMatchObject({ limit: 0.5, pass: true, bound: 'quick' })
})

test('a limit that does not depend on the machine holds in a quick run, too', () => {
  const judge = new Judge(true)
  judge.atMost('connections', 4, { target: 3 }, '')
  expect(judge.criteria[0]).toMatchObject({ limit: 3, pass: false, bound: 'target' })
})

test('the limit itself passes, and what is not a number does not', () => {
  const judge = new Judge(false)
  judge.atLeast('least', 1, { target: 1 }, '')
  judge.atMost('most', 1, { target: 1 }, '')
  judge.atLeast('nothing', Number.NaN, { target: 1 }, '')
  judge.atMost('nothing', Number.NaN, { target: 1 }, '')
  expect(judge.criteria.map(({ pass }) => pass)).toEqual([true, true, false, false])
})
