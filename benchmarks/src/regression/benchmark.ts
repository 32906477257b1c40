import { carryOut } from '../harness/carry-out.ts'
import { Judge } from '../harness/criterion.ts'
import { planRounds, type Variant } from '../harness/plan.ts'
import type { Findings } from '../harness/report.ts'
import { type Sample, Samples } from '../harness/samples.ts'
import type { Benchmark, Workbench } from '../harness/workbench.ts'
import { measure, type Measurable } from '../throughput/measure.ts'
import { estimate, holds } from './estimate.ts'
import { type Gate, gates } from './gates.ts'

/**
 * Claim: the hot paths have not become a quarter slower than they were when the limits were written down.
 *
 * How it is measured:
 * - The same programs as in `throughput`, with fewer events. What is compared is the CPU time per event,
 *   of the client and of Redis, with that of the hand-written loop right before or after it: unlike events
 *   per second it hardly depends on what else the machine does. The rate has a gate that is wide enough
 *   for busy machines; it finds waiting, which uses no CPU.
 * - A ratio is that of the best rounds of both, which are interleaved. Where one is beyond its limit, what
 *   it needs is measured in as many rounds again, twice at most, and all rounds count.
 * - MILLRACE_PLANTED_SLOWDOWN=0.3 makes the measured paths 30 % slower, to see that this is noticed.
 */
export const regression: Benchmark = {
  name: 'ci',
  summary:
    'the regression lane (also --ci): CPU per event against the floors, with limits that hold',
  run,
}

const ATTEMPTS = 3
const fullRun = { rounds: 5, size: { warmUp: 30_000, measured: 100_000 } }
const quickRun: typeof fullRun = { rounds: 1, size: { warmUp: 5_000, measured: 20_000 } }

const publishFloor = new URL('../floors/publish-loop.ts', import.meta.url)
const publishMillrace = new URL('../millrace/publish.ts', import.meta.url)
const programs: Readonly<Record<string, Omit<Measurable, 'size'>>> = {
  publish_floor: { file: publishFloor },
  publish: { file: publishMillrace },
  consume_floor: {
    file: new URL('../floors/consume-loop.ts', import.meta.url),
    filledBy: publishFloor,
  },
  consume: { file: new URL('../millrace/consume.ts', import.meta.url), filledBy: publishMillrace },
  group: {
    file: new URL('../millrace/consume-in-group.ts', import.meta.url),
    filledBy: publishMillrace,
  },
}

async function run(bench: Workbench): Promise<Findings> {
  const { rounds, size } = bench.quick ? quickRun : fullRun
  const all: Sample[] = []
  let open: readonly Gate[] = gates
  for (let attempt = 1; attempt <= ATTEMPTS && open.length > 0; attempt += 1) {
    if (attempt > 1) bench.tell(`more rounds, because of ${open.map(({ id }) => id).join(', ')}`)
    const needed = new Set(open.flatMap(({ variant, floor }) => [variant, floor]))
    const variants = Object.entries(programs)
      .filter(([name]) => needed.has(name))
      .map(([name, program]): Variant => {
        return { name, expectedMs: 2_500, run: () => measure(bench, { ...program, size }) }
      })
    const samples = await carryOut(planRounds(rounds, variants), bench.tell)
    const before = (attempt - 1) * rounds
    for (const { round, variant, figures } of samples.all)
      all.push({ round: before + round, variant, figures })
    open = gates.filter((gate) => !holds(gate, estimate(all, gate), bench.quick))
  }
  return findings(bench.quick, all)
}

function findings(quick: boolean, all: readonly Sample[]): Findings {
  const judge = new Judge(quick)
  for (const gate of gates) {
    const limits = { target: gate.limit, quick: gate.quick }
    if (gate.direction === 'at most') judge.atMost(gate.id, estimate(all, gate), limits, '×')
    else judge.atLeast(gate.id, estimate(all, gate), limits, '×')
  }
  const samples = new Samples()
  for (const sample of all) samples.add(sample)
  const values = Object.keys(programs).flatMap((name) =>
    ['perSecond', 'clientCpuUs', 'redisCpuUs'].map((figure) => [
      `${name}_${figure}`,
      samples.median(name, figure),
    ]),
  )
  return {
    criteria: judge.criteria,
    ratios: Object.fromEntries(gates.map((gate) => [gate.id, estimate(all, gate)])),
    values: Object.fromEntries(values),
    rounds: all,
  }
}
