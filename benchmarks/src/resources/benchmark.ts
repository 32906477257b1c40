import { CompileCache } from '../harness/compile-cache.ts'
import { Judge } from '../harness/criterion.ts'
import type { Findings } from '../harness/report.ts'
import { median } from '../harness/statistics.ts'
import type { Benchmark, Workbench } from '../harness/workbench.ts'
import { type Cell, measureCell } from './cell.ts'
import { cpuLimit, expectedMs, FOLLOWERS, type Grid, gridOf, rateName, TODAY_MS } from './grid.ts'
import { MeasuredGrid } from './measured-grid.ts'
import { openSide, type Side, type SideName } from './sides.ts'
import { bareNodeMiB, smallHeapsMiB } from './memory.ts'
import { memoryNote, notesOn } from './notes.ts'

/**
 * Claim: 120 consumers use less than half of the CPU and memory of 120 pollers that ask once a second,
 * where consumers share processes (SC-005).
 *
 * How it is measured:
 * - `poll_http`: 120 pollers of an HTTP API over a table in an SQLite file, or in
 *   PostgreSQL where `--postgres` names one, as services have it today, and
 *   done well: kept connections through node:http (which costs less than fetch), a cursor that is the primary
 *   key, rows that go out as they are stored, jitter of a tenth, the same schema as the consumers'. A process
 *   that is on no side writes the rows.
 * - `poll_redis`: 120 pollers that ask Redis itself, XRANGE after a cursor, one connection for each process.
 * - `millrace`: 120 Consumers in default options, with validation, leases and checkpoints. There is no
 *   interval, so one measurement stands beside all of them.
 * - Each in 1, 12 and 120 processes, all of a side started once and then measured at one rate and interval
 *   after the other, once warm: when the CPU of five seconds at 500 events a second has twice not been
 *   less than before. After each, every follower must have got every event, or the run ends.
 * - CPU is that of all processes of a side (API and database, or Redis; pollers or consumers) within a window,
 *   from the scheduler's books in /proc. Publishing is taken away: the publisher's process is not counted, and
 *   of Redis not what it uses more with publishing alone than at rest. Memory is the sum of their PSS.
 * - `cpu_vs_poll_<processes>p_<rate>eps`: to `poll_http` with as many processes at 1 s. Likewise
 *   `memory_vs_poll_<processes>p`, the median over the rates. `memory_vs_poll_120p_when_in_<processes>p` compares
 *   with 120 polling processes, for whoever has these today and lets consumers share processes instead.
 * - `memory_of_bare_node_vs_poll_<processes>p`: as many processes of Node that do nothing; no side can take less.
 *   `memory_small_heaps_vs_poll_<processes>p`: both sides with --max-semi-space-size=1, at 10 events a second.
 * - Code is compiled once and kept, as in a build, so that no process holds a compiler.
 */
export const resources: Benchmark = {
  name: 'resources',
  summary:
    'CPU and memory of 120 consumers against 120 pollers, over rates, intervals and processes',
  takes: { fullGrid: true, postgres: true },
  run,
}

/**
 * What is measured is a service that has run for a while, and not its compiler: a side runs until it no longer
 * uses less CPU from one window to the next.
 */
const WARM_UP = {
  perSecond: 500,
  windowMs: 5_000,
  quickMs: 2_000,
  isSteadyFrom: 0.95,
  mostWindows: 10,
}

/** One alone may be a hiccup of the machine. */
const STEADY_WINDOWS = 2

/** More processes would only say the same for more time. */
const MOST_SMALL = 12

interface Part {
  readonly side: SideName
  readonly processes: number
  readonly cells: readonly Cell[]
}

async function run(bench: Workbench): Promise<Findings> {
  const grid = gridOf({ quick: bench.quick, full: bench.fullGrid })
  const parts = partsOf(grid)
  const measured = new MeasuredGrid()
  await using compileCache = await CompileCache.open()
  const startMs = performance.now()
  for (const [index, part] of parts.entries()) {
    const leftMs = remainingMs(grid, parts, index, performance.now() - startMs)
    const { side, processes } = part
    bench.tell(
      `${index + 1}/${parts.length} ${side}, ${processes} processes (about ${Math.ceil(leftMs / 60_000)} min left)`,
    )
    await measurePart(bench, grid, part, compileCache, measured)
  }
  const memories = await memoriesOf(bench, grid, compileCache, measured)
  const overPostgres = bench.postgres !== undefined
  return findingsOf({ quick: bench.quick, overPostgres }, grid, measured, memories)
}

/** Beside the grid, what of the memory is Node's own, and what small heaps change on both sides. */
interface Memories {
  readonly ratios: Readonly<Record<string, number>>
  readonly values: Readonly<Record<string, number>>
}

async function memoriesOf(
  bench: Workbench,
  grid: Grid,
  compileCache: CompileCache,
  measured: MeasuredGrid,
): Promise<Memories> {
  const ratios: Record<string, number> = {}
  const values: Record<string, number> = {}
  for (const processes of grid.processes) {
    bench.tell(`memory of Node itself and with small heaps, ${processes} processes`)
    const bare = await bareNodeMiB(compileCache, processes)
    values[`memory_mib_node_${processes}p`] = bare
    const cells = grid.rates.map((perSecond) => ({ perSecond, intervalMs: TODAY_MS }))
    ratios[`memory_of_bare_node_vs_poll_${processes}p`] =
      bare / median(cells.map((cell) => measured.memoryMiB('poll_http', processes, cell)))
    if (processes > MOST_SMALL) continue
    const own = await smallHeapsMiB(bench, compileCache, 'millrace', processes)
    const theirs = await smallHeapsMiB(bench, compileCache, 'poll_http', processes)
    values[`memory_mib_small_heaps_millrace_${processes}p`] = own
    values[`memory_mib_small_heaps_poll_${processes}p`] = theirs
    ratios[`memory_small_heaps_vs_poll_${processes}p`] = own / theirs
  }
  return { ratios, values }
}

/** Every second number of processes goes through the sides backwards, so that none profits from its place. */
function partsOf(grid: Grid): readonly Part[] {
  const ownCells = grid.rates.map((perSecond) => ({ perSecond }))
  const followed = grid.processes.flatMap((processes, index): Part[] => {
    const sides: Part[] = [
      { side: 'millrace', processes, cells: ownCells },
      { side: 'poll_http', processes, cells: grid.overHttp },
      { side: 'poll_redis', processes, cells: grid.overRedis },
    ]
    return index % 2 === 0 ? sides : sides.toReversed()
  })
  const rates = [...new Set([0, ...grid.rates])]
  const publishing = rates.map((perSecond) => ({ perSecond }))
  return [{ side: 'publishing', processes: 0, cells: publishing }, ...followed]
}

async function measurePart(
  bench: Workbench,
  grid: Grid,
  { side: name, processes, cells }: Part,
  compileCache: CompileCache,
  measured: MeasuredGrid,
): Promise<void> {
  const followersPerProcess = processes === 0 ? 0 : FOLLOWERS / processes
  const { windowMs } = grid
  await using owner = new AsyncDisposableStack()
  const { postgres } = bench
  const task = { name, processes, followersPerProcess, compileCache, postgres }
  const side = await openSide(task, owner)
  await warmUp(bench, side, followersPerProcess)
  for (const cell of cells) {
    const figures = await measureCell(side, { ...cell, followersPerProcess, windowMs })
    measured.add(1, name, processes, cell, figures)
    const every = cell.intervalMs === undefined ? '' : ` every ${cell.intervalMs} ms`
    bench.tell(
      `    ${cell.perSecond}/s${every}: ${figures.cpuMsPerSecond.toFixed(1)} ms CPU/s, ${figures.memoryMiB.toFixed(0)} MiB`,
    )
  }
}

async function warmUp(bench: Workbench, side: Side, followersPerProcess: number): Promise<void> {
  const interval = side.name.startsWith('poll_') ? { intervalMs: TODAY_MS / 4 } : {}
  const { perSecond, quickMs, isSteadyFrom, mostWindows } = WARM_UP
  const windowMs = bench.quick ? quickMs : WARM_UP.windowMs
  let least = Number.POSITIVE_INFINITY
  let steady = 0
  for (let window = 0; window < (bench.quick ? 1 : mostWindows); window++) {
    const { cpuMsPerSecond } = await measureCell(side, {
      ...interval,
      perSecond,
      windowMs,
      followersPerProcess,
    })
    steady = cpuMsPerSecond >= least * isSteadyFrom ? steady + 1 : 0
    if (steady === STEADY_WINDOWS) return
    least = Math.min(least, cpuMsPerSecond)
  }
}

function remainingMs(grid: Grid, parts: readonly Part[], done: number, elapsedMs: number): number {
  const expected = (some: readonly Part[]): number =>
    some.reduce(
      (sum, { cells, processes }) =>
        sum + 30_000 + processes * 150 + expectedMs(cells, grid.windowMs),
      0,
    )
  const before = expected(parts.slice(0, done))
  return expected(parts.slice(done)) * (before > 0 ? elapsedMs / before : 1)
}

function findingsOf(
  { quick, overPostgres }: { readonly quick: boolean; readonly overPostgres: boolean },
  grid: Grid,
  measured: MeasuredGrid,
  memories: Memories,
): Findings {
  const judge = new Judge(quick)
  const ratios: Record<string, number> = { ...memories.ratios }
  const values: Record<string, number> = { ...memories.values }
  const today = (perSecond: number): Cell => ({ perSecond, intervalMs: TODAY_MS })
  const mostProcesses = Math.max(...grid.processes)
  for (const processes of grid.processes) {
    const memoriesBeside: number[] = []
    const memoriesApart: number[] = []
    for (const perSecond of grid.rates) {
      const own = { perSecond }
      const ownCpu = measured.cpuMsPerSecond('millrace', processes, own)
      const pollCpu = measured.cpuMsPerSecond('poll_http', processes, today(perSecond))
      const place = `${processes}p_${rateName(perSecond)}`
      values[`cpu_ms_per_second_millrace_${place}`] = ownCpu
      values[`cpu_ms_per_second_poll_${place}`] = pollCpu
      const id = `cpu_vs_poll_${place}`
      const ratio = ownCpu / pollCpu
      ratios[id] = ratio
      const target = cpuLimit(processes, perSecond)
      if (target !== undefined) judge.atMost(`sc_005_${id}`, ratio, { target, quick: 5 }, '×')
      if (measured.has('poll_redis', processes, today(perSecond)))
        ratios[`cpu_vs_poll_redis_${place}`] =
          ownCpu / measured.cpuMsPerSecond('poll_redis', processes, today(perSecond))
      const ownMiB = measured.memoryMiB('millrace', processes, own)
      memoriesBeside.push(ownMiB / measured.memoryMiB('poll_http', processes, today(perSecond)))
      memoriesApart.push(ownMiB / measured.memoryMiB('poll_http', mostProcesses, today(perSecond)))
    }
    const id = `memory_vs_poll_${processes}p`
    const apart = `memory_vs_poll_${mostProcesses}p_when_in_${processes}p`
    ratios[id] = median(memoriesBeside)
    ratios[apart] = median(memoriesApart)
    values[`memory_mib_millrace_${processes}p`] = median(
      grid.rates.map((perSecond) => measured.memoryMiB('millrace', processes, { perSecond })),
    )
    values[`memory_mib_poll_${processes}p`] = median(
      grid.rates.map((rate) => measured.memoryMiB('poll_http', processes, today(rate))),
    )
    if (processes < 120)
      judge.atMost(`sc_005_${id}`, median(memoriesBeside), { target: 0.5, quick: 5 }, '×')
    if (processes < mostProcesses)
      judge.atMost(`sc_005_${apart}`, median(memoriesApart), { target: 0.5, quick: 5 }, '×')
  }
  return {
    criteria: judge.criteria,
    ratios,
    values,
    rounds: measured.all,
    notes: [
      `The poll API is over ${overPostgres ? 'PostgreSQL' : 'SQLite'}.`,
      ...notesOn(grid, measured),
      memoryNote(grid, memories),
    ],
  }
}
