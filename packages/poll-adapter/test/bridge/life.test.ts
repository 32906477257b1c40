import { describe, expect, it } from 'vitest'
import { isOver, type LifeSighting, sight } from '../../src/bridge/life.ts'

/** Sees the signs one after the other, and answers whether the bridge is over at the end. */
function after(...signs: readonly (readonly [sign: string, atMs: number])[]): boolean {
  let seen: LifeSighting | undefined
  let verdict = false
  for (const [sign, atMs] of signs) {
    const life = { sign, leaseMs: 4_000 }
    seen = sight(seen, life, atMs)
    verdict = isOver(seen, life, atMs)
  }
  return verdict
}

describe('a bridge', () => {
  it('lives as long as its holder beats, and a lease and a moment longer', () => {
    expect(after(['a 1', 0])).toBe(false)
    expect(after(['a 1', 0], ['a 2', 5_000], ['a 2', 10_400])).toBe(false)
    expect(after(['a 1', 0], ['a 2', 5_000], ['a 2', 10_501])).toBe(true)
  })

  it('lives on where another process takes over', () => {
    expect(after(['a 1', 0], ['a 1', 5_400], ['b 0', 5_600], ['b 0', 11_000])).toBe(false)
    expect(after(['', 0], ['b 0', 1_400])).toBe(false)
  })

  it('is over a moment after it was given back', () => {
    expect(after(['', 0], ['', 1_500])).toBe(false)
    expect(after(['', 0], ['', 1_501])).toBe(true)
  })
})
