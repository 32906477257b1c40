import { describe, expect, it } from 'vitest'
import { MOST_IN_ONE_STEP, pauseMs, stepSize } from '../../src/dead-letters/pace.ts'

describe('The pace of a redrive', () => {
  it('divides a second into steps, none of them large and none empty', () => {
    expect(stepSize(0.1)).toBe(1)
    expect(stepSize(50)).toBe(5)
    expect(stepSize(10_000)).toBe(MOST_IN_ONE_STEP)
    expect(stepSize(Number.POSITIVE_INFINITY)).toBe(MOST_IN_ONE_STEP)
  })

  it('waits until the letters so far have had their time, and no longer', () => {
    expect(pauseMs(0, 0, 10)).toBe(0)
    expect(pauseMs(5, 100, 10)).toBe(400)
    expect(pauseMs(5, 900, 10)).toBe(0)
    expect(pauseMs(1_000, 0, Number.POSITIVE_INFINITY)).toBe(0)
  })
})
