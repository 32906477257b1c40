import { expect, test, vi } from 'vitest'
import { ServerClock } from '../../src/process/server-clock.ts'

test('brings moments to the clock of Redis, as last measured, whatever is done to our own clock', async () => {
  const clock = new ServerClock()
  const here = (): number => clock.ofMonotonicMs() + performance.now() - Date.now()
  expect(clock.offsetMs).toBeUndefined()
  expect(Math.abs(here())).toBeLessThan(60_000)
  await clock.measure({
    clockOffset: () => Promise.resolve({ offsetMs: 3_600_000, uncertaintyMs: 1 }),
  })
  expect(clock.offsetMs).toBe(3_600_000)
  expect(Math.abs(here() + 3_600_000)).toBeLessThan(60_000)
  const before = clock.ofMonotonicMs()
  vi.useFakeTimers({ toFake: ['Date'], now: 0 })
  try {
    expect(clock.ofMonotonicMs()).toBe(before)
  } finally {
    vi.useRealTimers()
  }
  // Redis is away: what was known stays.
  await clock.measure({ clockOffset: () => Promise.reject(new Error('away')) })
  expect(clock.ofMonotonicMs()).toBe(before)
})
