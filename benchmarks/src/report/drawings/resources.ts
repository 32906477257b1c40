import type { Report } from '../../harness/report.ts'
import type { Cell } from '../../resources/cell.ts'
import { MeasuredGrid } from '../../resources/measured-grid.ts'
import type { BarPlot, HeatPlot, Plot } from '../plots/plot.ts'

/** `poll_http_12p_0_1eps_1000ms`: a side, its processes, the rate and the interval of polls. */
const VARIANT =
  /^(millrace|poll_http|poll_redis|publishing)(?:_(\d+)p)?_(\d+(?:_\d+)?)eps(?:_(\d+)ms)?$/

type PollSide = 'poll_http' | 'poll_redis'

interface Rival {
  readonly side: PollSide
  readonly intervalMs: number
}

interface Axes {
  readonly measured: MeasuredGrid
  readonly processes: readonly number[]
  readonly rates: readonly number[]
  readonly rivals: readonly Rival[]
}

/** How much CPU Millrace takes for each unit that polling takes, over rates, intervals and processes. */
export function resourcesPlots(result: Report): Plot[] {
  const axes = axesOf(result)
  return [...axes.processes.flatMap((processes) => cpuMap(axes, processes)), ...memoryBars(result)]
}

function cpuMap({ measured, rates, rivals }: Axes, processes: number): HeatPlot[] {
  const ratio = (perSecond: number, { side, intervalMs }: Rival): number | undefined => {
    const own = { perSecond }
    const theirs = { perSecond, intervalMs }
    if (!measured.has('millrace', processes, own) || !measured.has(side, processes, theirs))
      return undefined
    return (
      measured.cpuMsPerSecond('millrace', processes, own) /
      measured.cpuMsPerSecond(side, processes, theirs)
    )
  }
  return [
    {
      kind: 'heat',
      title: `CPU against polling, 120 consumers in ${processes === 1 ? 'one process' : `${processes} processes`}`,
      columns: { label: 'events a second', names: rates.map(String) },
      rows: {
        label: 'polls every',
        names: rivals.map(
          ({ side, intervalMs }) =>
            `${intervalMs / 1_000} s${side === 'poll_redis' ? ', Redis' : ''}`,
        ),
      },
      cells: rivals.map((rival) => rates.map((rate) => ratio(rate, rival))),
    },
  ]
}

function memoryBars({ values }: Report): BarPlot[] {
  const found = Object.entries(values).flatMap(([name, value]) => {
    const [, side, processes] = /^memory_mib_(millrace|poll)_(\d+)p$/.exec(name) ?? []
    if (side === undefined) return []
    const isOurs = side === 'millrace'
    return [
      {
        name: `${isOurs ? 'Millrace' : 'polling'}, ${processes} ${processes === '1' ? 'process' : 'processes'}`,
        value,
        rounds: [],
        isOurs,
      },
    ]
  })
  return found.length === 0
    ? []
    : [{ kind: 'bars', title: 'Memory of all processes of a side', unit: 'MiB', bars: found }]
}

function axesOf({ rounds }: Report): Axes {
  const measured = new MeasuredGrid()
  const processes = new Set<number>()
  const rates = new Set<number>()
  const rivals = new Map<string, Rival>()
  for (const { round, variant, figures } of rounds) {
    const [, side, holders, rate, interval] = VARIANT.exec(variant) ?? []
    const { cpuMsPerSecond, memoryMiB } = figures
    if (side === undefined || cpuMsPerSecond === undefined || memoryMiB === undefined) continue
    const perSecond = Number(rate?.replace('_', '.'))
    const count = Number(holders ?? 0)
    const cell: Cell =
      interval === undefined ? { perSecond } : { perSecond, intervalMs: Number(interval) }
    const name = side as PollSide | 'millrace' | 'publishing'
    measured.add(round, name, count, cell, { cpuMsPerSecond, memoryMiB })
    if (name === 'millrace') {
      processes.add(count)
      rates.add(perSecond)
    }
    if ((name === 'poll_http' || name === 'poll_redis') && cell.intervalMs !== undefined)
      rivals.set(`${name}${cell.intervalMs}`, { side: name, intervalMs: cell.intervalMs })
  }
  const ascending = (some: Iterable<number>): number[] => [...some].toSorted((a, b) => a - b)
  return {
    measured,
    processes: ascending(processes),
    rates: ascending(rates),
    rivals: [...rivals.values()].toSorted(
      (a, b) => a.side.localeCompare(b.side) || a.intervalMs - b.intervalMs,
    ),
  }
}
