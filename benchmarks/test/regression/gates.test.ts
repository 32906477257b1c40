import { afterEach, expect, test, vi } from 'vitest'
import { plantSlowdown } from '../../src/load/planted-slowdown.ts'
import { gatesOf, holds, watched } from '../../src/regression/gates.ts'
import { readUsual } from '../../src/regression/usual.ts'

afterEach(() => {
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
})

test('limits are made of usual ratios, of which none may be missing', () => {
  expect(watched).toHaveLength(9)
  expect(() => gatesOf({})).toThrow('publish_client_cpu_vs_floor has no usual value')
})

test('a ratio that is not a number is beyond every limit', () => {
  for (const gate of gatesOf(readUsual())) {
    expect(holds(gate, Number.NaN, false)).toBe(false)
    expect(holds(gate, Number.NaN, true)).toBe(false)
  }
})

test('every gate has a name of its own and a limit that a quick run is not held to', () => {
  const gates = gatesOf(readUsual())
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
