import { carryOut } from '../harness/carry-out.ts'
import { Judge } from '../harness/criterion.ts'
import { planRounds, type Variant } from '../harness/plan.ts'
import { startProgram } from '../harness/program-process.ts'
import type { Findings } from '../harness/report.ts'
import type { Figures } from '../harness/samples.ts'
import type { Benchmark, Workbench } from '../harness/workbench.ts'
import type { ThroughputProgram } from '../throughput/program.ts'
import type { ConsumeProgram, ConsumeTask } from './program.ts'

/**
 * Claim: being looked at costs next to nothing. In-process metrics take at most 5 % of what a consumer can
 * take in, although each delivery is counted and its latencies are put into four histograms; who does not load
 * them pays nothing.
 *
 * How it is measured:
 * - A full stream of 200-byte events is worked off as in the benchmark of throughput, by a Consumer and by
 *   the only member of a ConsumerGroup, in a fresh process each time: without anybody looking, and with
 *   metrics in a registry of prom-client that is scraped each second. The counts are checked.
 * - For comparison: metrics for a meter of OpenTelemetry, which records each value by itself, and traces of
 *   which one in a hundred is kept.
 * - A ratio is the median over the rounds of (with / without) in events per second within one round; the ratios
 *   of CPU are those of the client's time per event.
 */
export const metrics: Benchmark = {
  name: 'metrics',
  summary: 'what it costs to be looked at: metrics and traces while catching up',
  run,
}

const publisher = new URL('../millrace/publish.ts', import.meta.url)
const program = new URL('consume.ts', import.meta.url)

type Variation = Pick<ConsumeTask, 'by' | 'recording'>

const variations: Readonly<Record<string, Variation>> = {
  consume: { by: 'consumer', recording: 'none' },
  consume_with_metrics: { by: 'consumer', recording: 'prometheus' },
  group: { by: 'group', recording: 'none' },
  group_with_metrics: { by: 'group', recording: 'prometheus' },
  consume_with_open_telemetry: { by: 'consumer', recording: 'open-telemetry' },
  consume_with_traces: { by: 'consumer', recording: 'traces' },
}

const fullRun = { rounds: 7, warmUp: 60_000, measured: 300_000 }
const quickRun: typeof fullRun = { rounds: 2, warmUp: 20_000, measured: 60_000 }

async function run(bench: Workbench): Promise<Findings> {
  const { rounds, ...size } = bench.quick ? quickRun : fullRun
  const variants = Object.entries(variations).map(
    ([name, variation]): Variant => ({
      name,
      expectedMs: 800 + (size.warmUp + size.measured) * 0.012,
      run: () => measure(bench, variation, size),
    }),
  )
  const samples = await carryOut(planRounds(rounds, variants), bench.tell)
  const ratio = (ours: string, theirs: string): number => samples.ratio('perSecond', ours, theirs)
  const ratios = {
    consume_with_metrics_vs_without: ratio('consume_with_metrics', 'consume'),
    group_with_metrics_vs_without: ratio('group_with_metrics', 'group'),
    consume_cpu_with_metrics_vs_without: samples.ratio(
      'clientCpuUs',
      'consume_with_metrics',
      'consume',
    ),
    group_cpu_with_metrics_vs_without: samples.ratio('clientCpuUs', 'group_with_metrics', 'group'),
    consume_with_open_telemetry_vs_without: ratio('consume_with_open_telemetry', 'consume'),
    consume_with_traces_vs_without: ratio('consume_with_traces', 'consume'),
  }
  const judge = new Judge(bench.quick)
  const bound = { target: 0.95, quick: 0.6 }
  judge.atLeast(
    'consume_with_metrics_vs_without',
    ratios.consume_with_metrics_vs_without,
    bound,
    '×',
  )
  judge.atLeast('group_with_metrics_vs_without', ratios.group_with_metrics_vs_without, bound, '×')
  const values = Object.keys(variations).flatMap((name) => [
    [`${name}_per_second`, samples.median(name, 'perSecond')],
    [`${name}_client_cpu_us`, samples.median(name, 'clientCpuUs')],
  ])
  return {
    criteria: judge.criteria,
    ratios,
    values: Object.fromEntries(values),
    rounds: samples.all,
  }
}

async function measure(
  bench: Workbench,
  variation: Variation,
  size: { readonly warmUp: number; readonly measured: number },
): Promise<Figures> {
  const place = await bench.emptyPlace()
  {
    await using filler = startProgram<ThroughputProgram>(publisher)
    await filler.ask('publish', { place, ...size })
  }
  await using consumer = startProgram<ConsumeProgram>(program)
  const lap = await consumer.ask('consume', { place, ...variation, ...size })
  return {
    perSecond: (size.measured / lap.elapsedMs) * 1_000,
    clientCpuUs: (lap.cpuMs / size.measured) * 1_000,
  }
}
