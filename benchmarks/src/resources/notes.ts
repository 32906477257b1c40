import { table } from '../harness/table.ts'
import type { Cell } from './cell.ts'
import { type Grid, TODAY_MS } from './grid.ts'
import type { MeasuredGrid } from './measured-grid.ts'

/** The whole grid for a person, where polling wins, and what to do there. */
export function notesOn(grid: Grid, measured: MeasuredGrid): readonly string[] {
  return [
    'CPU in milliseconds per second, net of publishing; in brackets Millrace as a share of it',
    cpuTable(grid, measured),
    'Memory in MiB (PSS), likewise',
    memoryTable(grid, measured),
    ...advice(grid, measured),
  ]
}

/** What of the memory nobody can save, and what everybody can. */
export function memoryNote(
  { processes }: Pick<Grid, 'processes'>,
  { values }: { readonly values: Readonly<Record<string, number>> },
): string {
  const lines = processes.map((count) => {
    const mib = (name: string): string => `${(values[name] ?? Number.NaN).toFixed(0)} MiB`
    const bare = `- ${count} processes: Node alone, with nothing loaded, takes ${mib(`memory_mib_node_${count}p`)}`
    if (values[`memory_mib_small_heaps_millrace_${count}p`] === undefined) return `${bare}.`
    return `${bare}; with small heaps Millrace takes ${mib(`memory_mib_small_heaps_millrace_${count}p`)} and polling ${mib(`memory_mib_small_heaps_poll_${count}p`)}.`
  })
  return `Memory beside the grid:\n${lines.join('\n')}\nNode lets the space for young objects grow while it loads code and keeps it. Where memory matters more than the highest rates, start processes with --max-semi-space-size=1, and let consumers share processes.`
}

interface Rival {
  readonly side: 'poll_http' | 'poll_redis'
  readonly intervalMs: number
}

function cpuTable(grid: Grid, measured: MeasuredGrid): string {
  return gridTable(grid, measured, (side, processes, cell) =>
    measured.cpuMsPerSecond(side, processes, cell),
  )
}

function memoryTable(grid: Grid, measured: MeasuredGrid): string {
  return gridTable(grid, measured, (side, processes, cell) =>
    measured.memoryMiB(side, processes, cell),
  )
}

/** A row for each number of processes and rate, a column for each way of polling. */
function gridTable(
  grid: Grid,
  measured: MeasuredGrid,
  figure: (side: 'millrace' | Rival['side'], processes: number, cell: Cell) => number,
): string {
  const rivals = rivalsOf(grid)
  const rows = grid.processes.flatMap((processes) =>
    grid.rates.map((perSecond) => {
      const own = figure('millrace', processes, { perSecond })
      const cells = rivals.map(({ side, intervalMs }) => {
        const cell = { perSecond, intervalMs }
        if (!measured.has(side, processes, cell)) return '–'
        const theirs = figure(side, processes, cell)
        return `${theirs.toFixed(1)} (${(own / theirs).toFixed(2)})`
      })
      return [`${processes} processes, ${perSecond}/s`, own.toFixed(1), ...cells]
    }),
  )
  const header = rivals.map(
    ({ side, intervalMs }) => `${side === 'poll_http' ? 'HTTP' : 'Redis'} ${intervalMs / 1_000} s`,
  )
  return table(['', 'Millrace', ...header], rows)
}

function advice(grid: Grid, measured: MeasuredGrid): readonly string[] {
  const lost = grid.processes.flatMap((processes) =>
    rivalsOf(grid).flatMap((rival) => {
      const rates = grid.rates.filter((perSecond) =>
        pollingWins(measured, processes, perSecond, rival),
      )
      if (rates.length === 0) return []
      const { side, intervalMs } = rival
      const whom = side === 'poll_http' ? 'the HTTP API' : 'Redis'
      return [
        `- ${processes} processes: polling ${whom} every ${intervalMs / 1_000} s uses less CPU at ${rates.join(', ')} events/s.`,
      ]
    }),
  )
  if (lost.length === 0) return ['Polling uses less CPU nowhere in this grid.']
  return [
    `Where polling uses less CPU:\n${lost.join('\n')}`,
    `What to do there: let consumers share a process, because all of a process cost one read and one beat; or, where each must have a process of its own, raise latencyBudgetMs, so that a read brings many events (a poller at ${TODAY_MS / 1_000} s waits half of that on average, and up to all of it), and leaseMs, so that beats are rarer. Where events may wait for seconds and hardly any come, polling is fine.`,
  ]
}

function pollingWins(
  measured: MeasuredGrid,
  processes: number,
  perSecond: number,
  { side, intervalMs }: Rival,
): boolean {
  const cell = { perSecond, intervalMs }
  if (!measured.has(side, processes, cell)) return false
  return (
    measured.cpuMsPerSecond('millrace', processes, { perSecond }) >
    measured.cpuMsPerSecond(side, processes, cell)
  )
}

function rivalsOf({ overHttp, overRedis }: Grid): readonly Rival[] {
  const intervals = (cells: readonly Cell[]): readonly number[] =>
    [
      ...new Set(cells.flatMap(({ intervalMs }) => (intervalMs === undefined ? [] : [intervalMs]))),
    ].toSorted((a, b) => a - b)
  return [
    ...intervals(overHttp).map((intervalMs): Rival => ({ side: 'poll_http', intervalMs })),
    ...intervals(overRedis).map((intervalMs): Rival => ({ side: 'poll_redis', intervalMs })),
  ]
}
