import { Judge } from '../harness/criterion.ts'
import { carryOut } from '../harness/carry-out.ts'
import { planRounds, type Variant } from '../harness/plan.ts'
import type { Findings } from '../harness/report.ts'
import type { Benchmark, Workbench } from '../harness/workbench.ts'
import { measure, type Measurable, type Size } from './measure.ts'

/**
 * Claim: delivery guarantees cost little. Publishing with validation and idempotence is faster than
 * pipelines of XADD by hand; reading in order with checkpoints, or as a group with acks and leases,
 * comes near a bare loop, and is several times as fast as a job queue.
 *
 * How it is measured:
 * - Events are 200 bytes of JSON; one process at a time publishes or consumes, on one connection.
 * - Publishing: from the first call to the last answer, in chunks of 500 with several under way.
 * - Consuming, all variants alike: the stream (or queue) was filled by another process; the clock runs
 *   until the last event is acknowledged, or the last position stored. Handlers only count. Adding
 *   jobs is not part of the comparison with BullMQ.
 * - The group and BullMQ are compared over the same number of events and jobs, fewer than the others
 *   are given, because BullMQ would take long.
 * - Everything is warmed up in the same process before the clock starts: with fewer than 40,000 events the
 *   compiler is still at work on code of either side.
 * - A ratio is the median over the rounds of (ours / theirs) in events per second within one round.
 */
export const throughput: Benchmark = {
  name: 'throughput',
  summary: 'publishing and catching up, against hand-written loops and BullMQ',
  run,
}

const publishFloor = new URL('../floors/publish-loop.ts', import.meta.url)
const publishMillrace = new URL('../millrace/publish.ts', import.meta.url)
const publishSingly = new URL('../millrace/publish-singly.ts', import.meta.url)
const consumeFloor = new URL('../floors/consume-loop.ts', import.meta.url)
const consumeMillrace = new URL('../millrace/consume.ts', import.meta.url)
const groupMillrace = new URL('../millrace/consume-in-group.ts', import.meta.url)
const bullmq = new URL('../peers/bullmq.ts', import.meta.url)

interface Contender extends Measurable {
  readonly expectedMs: number
  readonly rounds?: number
}

const fullRun = {
  rounds: 4,
  bullRounds: 3,
  large: { warmUp: 40_000, measured: 200_000 },
  small: { warmUp: 40_000, measured: 60_000 },
}
const quickRun: typeof fullRun = {
  rounds: 2,
  bullRounds: 1,
  large: { warmUp: 20_000, measured: 60_000 },
  small: { warmUp: 4_000, measured: 12_000 },
}

async function run(bench: Workbench): Promise<Findings> {
  const scale = bench.quick ? quickRun : fullRun
  const contenders = contendersOf(scale)
  const variants = Object.entries(contenders).map(([name, contender]): Variant => {
    const { expectedMs, rounds = scale.rounds } = contender
    return { name, expectedMs, rounds, run: () => measure(bench, contender) }
  })
  const samples = await carryOut(planRounds(scale.rounds, variants), bench.tell)
  const ratio = (ours: string, theirs: string): number => samples.ratio('perSecond', ours, theirs)
  const ratios = {
    publish_vs_floor: ratio('publish', 'publish_floor'),
    consume_vs_floor: ratio('consume', 'consume_floor'),
    group_vs_floor: ratio('group', 'consume_floor'),
    group_vs_bullmq: ratio('group_like_bullmq', 'bullmq'),
  }
  const judge = new Judge(bench.quick)
  judge.atLeast('publish_vs_floor', ratios.publish_vs_floor, { target: 1.2, quick: 0.3 }, '×')
  judge.atLeast('consume_vs_floor', ratios.consume_vs_floor, { target: 0.8, quick: 0.25 }, '×')
  judge.atLeast('group_vs_floor', ratios.group_vs_floor, { target: 0.6, quick: 0.2 }, '×')
  judge.atLeast('group_vs_bullmq', ratios.group_vs_bullmq, { target: 8, quick: 1.5 }, '×')
  const values = Object.keys(contenders).flatMap((name) => [
    [`${name}_per_second`, samples.median(name, 'perSecond')],
    [`${name}_client_cpu_us`, samples.median(name, 'clientCpuUs')],
    [`${name}_redis_cpu_us`, samples.median(name, 'redisCpuUs')],
  ])
  return {
    criteria: judge.criteria,
    ratios,
    values: Object.fromEntries(values),
    rounds: samples.all,
  }
}

function contendersOf(scale: typeof fullRun): Record<string, Contender> {
  const { large, small, bullRounds } = scale
  const usually = (size: Size, perEventUs: number): { size: Size; expectedMs: number } => ({
    size,
    expectedMs: 800 + ((size.warmUp + size.measured) * perEventUs) / 1_000,
  })
  return {
    publish_floor: { file: publishFloor, ...usually(large, 7) },
    publish: { file: publishMillrace, ...usually(large, 4) },
    publish_singly: { file: publishSingly, ...usually(large, 5) },
    consume_floor: { file: consumeFloor, filledBy: publishFloor, ...usually(large, 13) },
    consume: { file: consumeMillrace, filledBy: publishMillrace, ...usually(large, 11) },
    group: { file: groupMillrace, filledBy: publishMillrace, ...usually(large, 12) },
    group_like_bullmq: {
      file: groupMillrace,
      filledBy: publishMillrace,
      rounds: bullRounds,
      ...usually(small, 13),
    },
    bullmq: { file: bullmq, filledBy: bullmq, rounds: bullRounds, ...usually(small, 130) },
  }
}
