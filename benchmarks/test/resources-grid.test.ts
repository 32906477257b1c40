import { expect, test } from 'vitest'
import { cpuLimit, FOLLOWERS, gridOf, TODAY_MS } from '../src/resources/grid.ts'
import { MeasuredGrid } from '../src/resources/measured-grid.ts'
import { notesOn } from '../src/resources/notes.ts'

test.for([
  { quick: true, full: false },
  { quick: false, full: false },
  { quick: false, full: true },
])('every rate has its rival at today’s interval, and followers divide evenly: %o', (how) => {
  const { processes, rates, overHttp } = gridOf(how)
  for (const perSecond of rates)
    expect(overHttp).toContainEqual({ perSecond, intervalMs: TODAY_MS })
  for (const one of processes) expect(FOLLOWERS % one).toBe(0)
})

test('the limits are those of consumers that share processes, and none above what is promised', () => {
  expect([cpuLimit(1, 10), cpuLimit(1, 200), cpuLimit(1, 500)]).toEqual([0.25, 0.5, undefined])
  expect([cpuLimit(12, 10), cpuLimit(12, 200)]).toEqual([0.5, 0.75])
  expect([cpuLimit(120, 1), cpuLimit(120, 10), cpuLimit(120, 200)]).toEqual([0.65, 1.3, undefined])
})

test('publishing is taken away from whoever has the server, but not the rest of the server', () => {
  const measured = new MeasuredGrid()
  const add = (
    side: 'millrace' | 'poll_http' | 'publishing',
    perSecond: number,
    cpuMsPerSecond: number,
    intervalMs?: number,
  ): void => {
    const cell = intervalMs === undefined ? { perSecond } : { perSecond, intervalMs }
    const processes = side === 'publishing' ? 0 : 12
    measured.add(1, side, processes, cell, { cpuMsPerSecond, memoryMiB: 1 })
  }
  add('publishing', 0, 2)
  add('publishing', 200, 10)
  add('millrace', 200, 108)
  add('poll_http', 200, 50, 1_000)
  expect(measured.cpuMsPerSecond('millrace', 12, { perSecond: 200 })).toBe(100)
  expect(measured.cpuMsPerSecond('poll_http', 12, { perSecond: 200, intervalMs: 1_000 })).toBe(50)

  const cells = [{ perSecond: 200, intervalMs: 1_000 }]
  const grid = { processes: [12], rates: [200], overHttp: cells, overRedis: cells, windowMs: 1 }
  const notes = notesOn(grid, measured).join('\n')
  expect(notes).toMatch(/12 processes, 200\/s\s+100\.0\s+50\.0 \(2\.00\)\s+–/)
  expect(notes).toContain('polling the HTTP API every 1 s uses less CPU at 200 events/s')
})
