import { describe, expect, test } from 'vitest'
import { oneOf, seededRandom } from '../src/run/random.ts'

describe('the shuffling', () => {
  test('follows from its seed', () => {
    const draw = (seed: number): readonly number[] => Array.from({ length: 20 }, seededRandom(seed))
    expect(draw(7)).toEqual(draw(7))
    expect(draw(7)).not.toEqual(draw(8))
    for (const number of draw(7)) expect(number >= 0 && number < 1).toBe(true)
  })

  test('chooses everything sooner or later, and nothing from nothing', () => {
    const random = seededRandom(1)
    const chosen = new Set(Array.from({ length: 200 }, () => oneOf(['a', 'b', 'c'], random)))
    expect(chosen.size).toBe(3)
    expect(() => oneOf([], random)).toThrow(RangeError)
  })
})
