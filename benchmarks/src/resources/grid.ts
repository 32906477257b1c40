import type { Cell } from './cell.ts'

export const FOLLOWERS = 120

/** What is measured of each number of processes. */
export interface Grid {
  readonly processes: readonly number[]
  readonly rates: readonly number[]
  readonly overHttp: readonly Cell[]
  readonly overRedis: readonly Cell[]
  readonly windowMs: number
}

/** The interval at which the criterion compares: what users have today. */
export const TODAY_MS = 1_000
const INTERVALS_MS = [100, 250, TODAY_MS, 5_000]
const RATES = [0, 0.1, 1, 10, 200, 500]

export function gridOf(how: { readonly quick: boolean; readonly full: boolean }): Grid {
  const { quick, full } = how
  if (quick) {
    const rates = [1, 200]
    const cells = cellsOf([TODAY_MS], rates)
    return { processes: [1, 12], rates, overHttp: cells, overRedis: cells, windowMs: 2_000 }
  }
  const processes = [1, 12, 120]
  if (full) {
    const cells = cellsOf(INTERVALS_MS, RATES)
    return { processes, rates: RATES, overHttp: cells, overRedis: cells, windowMs: 4_000 }
  }
  const rates = RATES.filter((rate) => rate !== 0.1)
  return {
    processes,
    rates,
    overHttp: [
      ...cellsOf([TODAY_MS], rates),
      ...cellsOf([100], [10, 200]),
      ...cellsOf([250, 5_000], [10]),
    ],
    overRedis: cellsOf([TODAY_MS], [10, 200]),
    windowMs: 3_000,
  }
}

/** How long measuring them all takes, in milliseconds; starting comes on top. */
export function expectedMs(cells: readonly Cell[], windowMs: number): number {
  return cells.reduce((sum, { perSecond, intervalMs = 0 }) => {
    const periodMs = perSecond === 0 ? 0 : 1_000 / perSecond
    return sum + Math.max(1_500, intervalMs) + Math.max(windowMs, intervalMs, periodMs) + 500
  }, 0)
}

/**
 * By how much CPU everything may use at most, as a share of what polling at {@link TODAY_MS} uses;
 * undefined where the figure is published and has no limit.
 */
export function cpuLimit(processes: number, perSecond: number): number | undefined {
  if (perSecond > 200) return undefined
  if (processes === 1) return perSecond <= 10 ? 0.25 : 0.5
  if (processes === 12) return perSecond <= 10 ? 0.5 : 0.75
  if (perSecond <= 1) return 0.65
  return perSecond <= 10 ? 1.3 : undefined
}

/** A rate in the name of a figure. */
export function rateName(perSecond: number): string {
  return `${String(perSecond).replace('.', '_')}eps`
}

function cellsOf(intervalsMs: readonly number[], rates: readonly number[]): readonly Cell[] {
  return intervalsMs.flatMap((intervalMs) => rates.map((perSecond) => ({ perSecond, intervalMs })))
}
