import { carryOut } from '../harness/carry-out.ts'
import { Judge } from '../harness/criterion.ts'
import { planRounds } from '../harness/plan.ts'
import type { Findings } from '../harness/report.ts'
import type { Samples } from '../harness/samples.ts'
import type { Benchmark, Workbench } from '../harness/workbench.ts'
import { manyStreams } from './many-streams.ts'
import { oneStream } from './one-stream.ts'
import { slowNeighbour } from './slow-neighbour.ts'
import { spreadLatency } from './spread-latency.ts'

/**
 * Claims: a thousand consumers of a stream slow its producers down no more than one (SC-002), and 120 in
 * twelve processes get each event within milliseconds (SC-001). Consumers that share a process cost Redis
 * and the producers next to nothing, however many they are: three connections, one read, one script for all
 * beats and checkpoints; and nobody waits for the slowest.
 *
 * `consumers_<n>`: n Consumers on one stream in one process, in default options, with checkpoints and
 * beats; `consumers_120_in_12`: 120 spread over twelve processes. A thousand of them make a thousand
 * deliveries of each event, so two cores cannot follow a producer at full speed, and what is measured must
 * not be how they fight for the cores. Therefore:
 * - The consumers' processes are scheduled as idle (chrt), in all variants: they stand for another machine.
 * - `redis_cpu_at_1000_vs_1`: the CPU time of Redis for each event while 500 events a second are
 *   published one by one and handed to all consumers; beats and checkpoints are in it. They cost the
 *   same whatever is published, so the ratio would be greater at a lower pace and smaller at a higher.
 * - `publish_at_1000_vs_1`: how many events a second another process can publish to the same Redis, as
 *   fast as possible, while the consumers follow their stream at that pace. They go to a stream
 *   without readers, so that the load of the consumers is the same 500 a second throughout.
 * - `burst_publish_at_1000_vs_1` has no limit: 1,000 events as fast as possible into the very stream of
 *   the consumers, again once all have been handed out. It lasts some milliseconds, and on a small
 *   machine the consumers' process, which wakes up meanwhile, takes a core from it.
 * - Memory of an idle consumer: heap and buffers after garbage collection with 1,000 less that with 1,
 *   divided by 999. Connections are counted by the server.
 *
 * `spread_120_…`: 120 Consumers in twelve processes of usual priority, 200 events a second, at latency budget
 * 0 and by default. The percentiles are of all deliveries of all consumers, from just before the call of
 * publish to the start of the handler.
 *
 * `streams_500_…`: 500 streams, one Consumer for each, all in one process; 200 events a second over all.
 *
 * `fast_…`: a Consumer at latency budget 0 with 200 events a second, alone, and with a Consumer on the
 * same stream in the same process that takes 100 ms for each event and is a million events behind.
 */
export const fanout: Benchmark = {
  name: 'fanout',
  summary:
    '1 to 1,000 consumers in a process, 120 in 12, 500 streams, and a slow consumer beside a fast one',
  run,
}

const fullScale = { seconds: 4, floodEvents: 250_000, bursts: 5, backlog: 1_000_000 }
const quickScale: typeof fullScale = {
  seconds: 2,
  floodEvents: 60_000,
  bursts: 3,
  backlog: 100_000,
}

async function run(bench: Workbench): Promise<Findings> {
  const scale = bench.quick ? quickScale : fullScale
  const counts = bench.quick ? [1, 1_000] : [1, 10, 100, 120, 500, 1_000]
  const pairs = bench.quick ? 1 : 3
  const few = bench.quick ? 1 : 2
  const samples = await carryOut(
    [
      ...planRounds(pairs, [
        ...counts.map((consumers) => {
          const rounds = consumers === 1 || consumers === 1_000 ? pairs : 1
          return oneStream(bench, { consumers, processes: 1 }, scale, rounds)
        }),
        oneStream(bench, { consumers: 120, processes: 12 }, scale, 1),
      ]),
      ...planRounds(few, [
        spreadLatency(bench, { latencyBudgetMs: 0 }, scale, few),
        spreadLatency(bench, {}, scale, few),
      ]),
      ...planRounds(few, [
        manyStreams(bench, { latencyBudgetMs: 0 }, scale, few),
        manyStreams(bench, {}, scale, few),
      ]),
      ...planRounds(few, slowNeighbour(bench, scale, few)),
    ],
    bench.tell,
  )
  const ratios = {
    publish_at_1000_vs_1: samples.ratio('publishPerSecond', 'consumers_1000', 'consumers_1'),
    redis_cpu_at_1000_vs_1: samples.ratio('redisCpuUs', 'consumers_1000', 'consumers_1'),
    publish_at_120_in_12_vs_1: samples.ratio(
      'publishPerSecond',
      'consumers_120_in_12',
      'consumers_1',
    ),
    burst_publish_at_1000_vs_1: samples.ratio('burstPerSecond', 'consumers_1000', 'consumers_1'),
    fast_p50_beside_slow: samples.ratio('p50Ms', 'fast_beside_slow', 'fast_alone'),
    fast_p99_beside_slow: samples.ratio('p99Ms', 'fast_beside_slow', 'fast_alone'),
  }
  return {
    criteria: judge(bench.quick, samples, ratios).criteria,
    ratios,
    values: valuesOf(samples),
    rounds: samples.all,
  }
}

function judge(
  quick: boolean,
  samples: Samples,
  ratios: Readonly<
    Record<
      | 'publish_at_1000_vs_1'
      | 'redis_cpu_at_1000_vs_1'
      | 'fast_p50_beside_slow'
      | 'fast_p99_beside_slow',
      number
    >
  >,
): Judge {
  const judging = new Judge(quick)
  const { publish_at_1000_vs_1, redis_cpu_at_1000_vs_1 } = ratios
  judging.atLeast(
    'sc_002_publish_at_1000_vs_1',
    publish_at_1000_vs_1,
    { target: 0.95, quick: 0.1 },
    '×',
  )
  judging.atMost('redis_cpu_at_1000_vs_1', redis_cpu_at_1000_vs_1, { target: 1.1, quick: 3 }, '×')
  const heapKiB = (n: number): number => samples.median(`consumers_${n}`, 'heapKiB')
  const perConsumer = ((heapKiB(1_000) - heapKiB(1)) * 1_024) / 999
  judging.atMost(
    'memory_per_idle_consumer',
    perConsumer,
    { target: 10_000, quick: 15_000 },
    'bytes',
  )
  for (const variant of ['consumers_1000', 'streams_500_at_once', 'streams_500_default_budget']) {
    const connections = samples.greatest(variant, 'connections')
    judging.atMost(`connections_${variant}`, connections, { target: 3 }, '')
  }
  const p99 = (variant: string): number => samples.median(variant, 'p99Ms')
  const atOnce = p99('spread_120_at_once')
  const byDefault = p99('spread_120_default_budget')
  judging.atMost('sc_001_p99_120_consumers_at_once', atOnce, { target: 20, quick: 2_000 }, 'ms')
  judging.atMost('sc_001_p99_120_consumers', byDefault, { target: 50, quick: 2_000 }, 'ms')
  judging.atMost(
    'p99_streams_500_at_once',
    p99('streams_500_at_once'),
    { target: 20, quick: 500 },
    'ms',
  )
  judging.atMost(
    'p99_streams_500_default_budget',
    p99('streams_500_default_budget'),
    { target: 50, quick: 5_000 },
    'ms',
  )
  const { fast_p50_beside_slow, fast_p99_beside_slow } = ratios
  judging.atMost('fast_p50_beside_slow', fast_p50_beside_slow, { target: 1.25, quick: 10 }, '×')
  judging.atMost('fast_p99_beside_slow', fast_p99_beside_slow, { target: 1.5, quick: 500 }, '×')
  const growth = samples.greatest('fast_beside_slow', 'heapGrowthKiB') / 1_024
  judging.atMost('memory_growth_beside_slow', growth, { target: 16, quick: 32 }, 'MiB')
  return judging
}

function valuesOf(samples: Samples): Record<string, number> {
  const figures = new Map<string, Set<string>>()
  for (const { variant, figures: measured } of samples.all) {
    figures.set(variant, new Set(Object.keys(measured)))
  }
  return Object.fromEntries(
    [...figures].flatMap(([variant, names]) =>
      [...names].map((name) => [`${variant}_${name}`, samples.median(variant, name)]),
    ),
  )
}
