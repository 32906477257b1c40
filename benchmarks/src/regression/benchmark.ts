import { Judge } from '../harness/criterion.ts'
import type { Findings } from '../harness/report.ts'
import { Samples } from '../harness/samples.ts'
import type { Benchmark, Workbench } from '../harness/workbench.ts'
import { isSlowdownPlanted } from '../load/planted-slowdown.ts'
import { type Gate, gatesOf, holds, isOutgrown, watched } from './gates.ts'
import { measureGeneration, type PathName, pathNames, type Size } from './generation.ts'
import { readUsual, writeUsual } from './usual.ts'

/**
 * Claim: the hot paths have not become a quarter slower than they were when the limits were written down.
 *
 * How it is measured:
 * - What decides is the CPU time per event of publishing, consuming and a group, each as a ratio to the
 *   hand-written loop: unlike events per second it hardly depends on what else the machine does. The
 *   rate and the CPU of Redis have gates that are wide enough for busy machines.
 * - All five paths are there at once, each in a process of its own, and take turns with short slices of
 *   events. A round has fresh processes, because not every process comes to be compiled alike. Its figure is
 *   the mean over its slices without the slowest fifth; a ratio is the median over the rounds.
 * - Where a ratio is beyond its limit, what it needs is measured in as many rounds again, twice at most,
 *   and all rounds count: measuring again cannot talk a regression away.
 * - MILLRACE_PLANTED_SLOWDOWN=0.3 makes the measured paths 30 % slower, to see that this is noticed.
 * - `--write-usual` measures two times as long, and writes down the ratios that the limits are made of.
 */
export const regression: Benchmark = {
  name: 'ci',
  summary:
    'the regression lane (also --ci): CPU per event against the floors, with limits that hold',
  takes: { writeUsual: true },
  run,
}

const ATTEMPTS = 3
/** No more rounds are begun that would not be over by then: a lane has to end, however busy the machine. */
const MOST_MS = 9 * 60_000
const fullRun: { readonly rounds: number; readonly size: Size } = {
  rounds: 4,
  size: { published: 40_000, consumed: 20_000, warmUp: 4, measured: 8 },
}
const quickRun: typeof fullRun = {
  rounds: 1,
  size: { published: 10_000, consumed: 5_000, warmUp: 2, measured: 3 },
}

async function run(bench: Workbench): Promise<Findings> {
  const { rounds, size } = bench.quick ? quickRun : fullRun
  const samples = new Samples()
  if (bench.writeUsual) {
    if (bench.quick || isSlowdownPlanted())
      throw new Error('usual ratios come from a full run in which nothing is planted')
    await measureRounds(bench, samples, pathNames, { from: 1, to: rounds * 2 }, size)
    writeUsual(Object.fromEntries(watched.map((one) => [one.id, ratioOf(samples, one)])))
    return findings(bench.quick, samples, gatesOf(readUsual()))
  }
  const gates = gatesOf(readUsual())
  let open = gates
  const startMs = performance.now()
  for (let attempt = 0; attempt < ATTEMPTS && open.length > 0; attempt += 1) {
    const elapsedMs = performance.now() - startMs
    if (attempt > 0 && elapsedMs * (1 + 1 / attempt) > MOST_MS) break
    if (attempt > 0) bench.tell(`more rounds, because of ${open.map(({ id }) => id).join(', ')}`)
    const needed = new Set(open.flatMap(({ path, floor }) => [path, floor]))
    const names = pathNames.filter((name) => needed.has(name))
    const which = { from: attempt * rounds + 1, to: (attempt + 1) * rounds }
    await measureRounds(bench, samples, names, which, size)
    open = gates.filter((gate) => !holds(gate, ratioOf(samples, gate), bench.quick))
  }
  for (const gate of bench.quick ? [] : gates)
    if (isOutgrown(gate, ratioOf(samples, gate)))
      bench.tell(`${gate.id} is better than its limit knows: --write-usual, on a quiet machine`)
  return findings(bench.quick, samples, gates)
}

async function measureRounds(
  bench: Workbench,
  samples: Samples,
  names: readonly PathName[],
  { from, to }: { readonly from: number; readonly to: number },
  size: Size,
): Promise<void> {
  const startMs = performance.now()
  for (let round = from; round <= to; round += 1) {
    const left = round === from ? '' : ` (${timeLeft(startMs, round - from, to - round + 1)})`
    bench.tell(`round ${round}/${to}: ${names.join(', ')}${left}`)
    for (const sample of await measureGeneration(bench, names, size, round)) samples.add(sample)
  }
}

function timeLeft(startMs: number, done: number, left: number): string {
  const seconds = ((performance.now() - startMs) / done / 1_000) * left
  return `about ${Math.ceil(seconds)} s left`
}

function ratioOf(
  samples: Samples,
  { figure, path, floor }: Pick<Gate, 'figure' | 'floor' | 'path'>,
): number {
  return samples.ratio(figure, path, floor)
}

function findings(quick: boolean, samples: Samples, gates: readonly Gate[]): Findings {
  const judge = new Judge(quick)
  for (const gate of gates) {
    const limits = { target: gate.limit, quick: gate.quick }
    if (gate.direction === 'at most') judge.atMost(gate.id, ratioOf(samples, gate), limits, '×')
    else judge.atLeast(gate.id, ratioOf(samples, gate), limits, '×')
  }
  const values = pathNames.flatMap((name) =>
    ['perSecond', 'clientCpuUs', 'redisCpuUs'].map((figure) => [
      `${name}_${figure}`,
      samples.median(name, figure),
    ]),
  )
  return {
    criteria: judge.criteria,
    ratios: Object.fromEntries(gates.map((gate) => [gate.id, ratioOf(samples, gate)])),
    values: Object.fromEntries(values),
    rounds: samples.all,
  }
}
