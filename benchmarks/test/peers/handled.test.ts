import { expect, test } from 'vitest'
import { nowUs, timedEventAt } from '../../src/load/timed-event.ts'
import { Handled } from '../../src/peers/handled.ts'

test('events count once, in whatever order they come, and repetitions are counted apart', () => {
  const handled = new Handled()
  for (const sequence of [3, 1, 3, 2, 1]) handled.see(timedEventAt(sequence))
  expect(handled.different).toBe(3)
  expect(handled.again).toBe(2)
  expect([1, 2, 3, 4].filter((one) => handled.has(one))).toEqual([1, 2, 3])
  expect(handled.latenciesMs(2)).toHaveLength(2)
})

test('flow has resumed with the first event that was sent after the broker came back', () => {
  const handled = new Handled()
  const backUs = nowUs()
  handled.lookForSentAfter(backUs)
  handled.see({ ...timedEventAt(1), sentUs: backUs - 1 })
  expect(handled.resumedUs).toBe(0)
  handled.see({ ...timedEventAt(2), sentUs: backUs })
  const first = handled.resumedUs
  expect(first).toBeGreaterThanOrEqual(backUs)
  handled.see({ ...timedEventAt(3), sentUs: backUs + 1 })
  expect(handled.resumedUs).toBe(first)
})
