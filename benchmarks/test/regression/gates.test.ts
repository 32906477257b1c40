import { afterEach, expect, test, vi } from 'vitest'
import { plantSlowdown } from '../../src/load/planted-slowdown.ts'
import { gates } from '../../src/regression/gates.ts'

afterEach(() => {
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
})

test('every gate has a name of its own and a limit that a quick run is not held to', () => {
  expect(new Set(gates.map(({ id }) => id)).size).toBe(gates.length)
  for (const { direction, limit, quick } of gates)
    expect(direction === 'at most' ? quick > limit : quick < limit).toBe(true)
})

/** A process that uses ten microseconds between any two looks at its usage. */
function stubUsage(): { usedUs: number } {
  const state = { usedUs: 0 }
  vi.spyOn(process, 'cpuUsage').mockImplementation(() => {
    state.usedUs += 10
    return { user: state.usedUs, system: 0 }
  })
  return state
}

test('a planted slowdown adds its share of what was used since the last one', () => {
  vi.stubEnv('MILLRACE_PLANTED_SLOWDOWN', '0.3')
  const state = stubUsage()
  const slowDown = plantSlowdown()
  for (let i = 0; i < 499; i++) slowDown()
  expect(state.usedUs).toBe(10)
  state.usedUs += 980
  slowDown()
  expect(state.usedUs).toBeGreaterThanOrEqual(1_000 + 297)
  expect(state.usedUs).toBeLessThanOrEqual(1_000 + 330)
})

test('nothing is slowed down unless it is asked for', () => {
  const state = stubUsage()
  const slowDown = plantSlowdown()
  for (let i = 0; i < 5_000; i++) slowDown()
  expect(state.usedUs).toBe(0)
})
