import { expect, test } from 'vitest'
import { accountFor } from '../src/loss/account.ts'
import { disturbances } from '../src/loss/schedule.ts'

test('events in order, each once, are neither lost nor repeated', () => {
  expect(accountFor([[0, 1], [2]], 3)).toEqual({ lost: 0, outOfOrder: 0, repeated: 0 })
})

test('an event that is in no journal is lost', () => {
  expect(accountFor([[0, 2]], 4)).toEqual({ lost: 2, outOfOrder: 0, repeated: 0 })
})

test('an event that comes again after a restart is repeated, and not out of order', () => {
  expect(
    accountFor(
      [
        [0, 1, 2],
        [1, 2, 3],
      ],
      4,
    ),
  ).toEqual({ lost: 0, outOfOrder: 0, repeated: 2 })
})

test('an event whose first handling comes after a later one is out of order', () => {
  expect(accountFor([[0, 2, 1, 3]], 4)).toEqual({ lost: 0, outOfOrder: 1, repeated: 0 })
})

test('an event that was never published is an error', () => {
  expect(() => accountFor([[0, 9]], 4)).toThrow('event 9 was handled and never published')
})

test('every process is ended, most are killed, and Redis is killed once', () => {
  const all = disturbances(4)
  const restarted = all.flatMap((one) => ('process' in one ? [one.process] : []))
  expect(new Set(restarted)).toEqual(new Set([0, 1, 2, 3]))
  expect(all.filter(({ is }) => is === 'Redis is killed and started again')).toHaveLength(1)
  expect(all.filter(({ is }) => is === 'a process is closed and started again')).toHaveLength(2)
  expect(all.map(({ share }) => share)).toEqual(
    all.map(({ share }) => share).toSorted((a, b) => a - b),
  )
})
