import { Redis } from 'ioredis'
import { carryOut } from '../harness/carry-out.ts'
import { Judge } from '../harness/criterion.ts'
import { planRounds, type Variant } from '../harness/plan.ts'
import { startProgram } from '../harness/program-process.ts'
import type { Findings } from '../harness/report.ts'
import type { Figures } from '../harness/samples.ts'
import type { Benchmark, Place, Workbench } from '../harness/workbench.ts'
import type { Keeps, RetentionProgram } from './program.ts'

/**
 * Claim: retention costs next to nothing. Publishing to a stream that events leave all the time, by age and by
 * length, is at most 10 % slower than publishing to one that keeps everything.
 *
 * How it is measured:
 * - One process publishes 200-byte events in chunks of 500 with several under way, from the first call to the
 *   last answer, after a warm-up; on one connection, everything else at its defaults but the sweeps, which
 *   come five times a second.
 * - `publish_with_retention` keeps half a second and 20,000 events; most of all that is published goes again
 *   while it is measured, which is a criterion. `publish_with_default_retention` keeps 24 hours, so that
 *   retention only looks. `publish_without_retention` keeps everything.
 * - What sweeps do in the server meanwhile is in the figures.
 * - A ratio is the median over the rounds of (with / without) in events per second within one round.
 */
export const retention: Benchmark = {
  name: 'retention',
  summary: 'publishing with retention at work, with nothing to remove, and without',
  run,
}

const publisher = new URL('publish.ts', import.meta.url)

const fullRun = { rounds: 7, warmUp: 100_000, measured: 600_000 }
const quickRun: typeof fullRun = { rounds: 2, warmUp: 60_000, measured: 200_000 }
const EXPECTED_US_PER_EVENT = 6

async function run(bench: Workbench): Promise<Findings> {
  const scale = bench.quick ? quickRun : fullRun
  const variant = (name: string, keeps: Keeps): Variant => ({
    name,
    expectedMs: 800 + ((scale.warmUp + scale.measured) * EXPECTED_US_PER_EVENT) / 1_000,
    run: () => measure(bench, keeps, scale),
  })
  const variants = [
    variant('publish_without_retention', 'everything'),
    variant('publish_with_retention', 'little'),
    variant('publish_with_default_retention', 'the-default'),
  ]
  const samples = await carryOut(planRounds(scale.rounds, variants), bench.tell)
  const against = (name: string): number =>
    samples.ratio('perSecond', name, 'publish_without_retention')
  const ratios = {
    publish_with_retention_vs_without: against('publish_with_retention'),
    publish_with_default_retention_vs_without: against('publish_with_default_retention'),
  }
  const judge = new Judge(bench.quick)
  const limits = { target: 0.9, quick: 0.5 }
  for (const [name, ratio] of Object.entries(ratios)) judge.atLeast(name, ratio, limits, '×')
  // Otherwise it would have been measured how little it costs to do nothing.
  const removed = samples.median('publish_with_retention', 'removedShare')
  judge.atLeast('share_removed_with_retention', removed, { target: 0.5, quick: 0.2 }, '')
  const left = samples.greatest('publish_without_retention', 'removedShare')
  judge.atMost('share_removed_without', left, { target: 0 }, '')
  const values = variants.flatMap(({ name }) => [
    [`${name}_per_second`, samples.median(name, 'perSecond')],
    [`${name}_client_cpu_us`, samples.median(name, 'clientCpuUs')],
    [`${name}_redis_cpu_us`, samples.median(name, 'redisCpuUs')],
    [`${name}_removed_share`, samples.median(name, 'removedShare')],
  ])
  return {
    criteria: judge.criteria,
    ratios,
    values: Object.fromEntries(values),
    rounds: samples.all,
  }
}

async function measure(bench: Workbench, keeps: Keeps, scale: typeof fullRun): Promise<Figures> {
  const { warmUp, measured } = scale
  const place = await bench.emptyPlace()
  await using program = startProgram<RetentionProgram>(publisher)
  const serverBeforeMs = await bench.serverCpuMs()
  const lap = await program.ask('publish', { place, keeps, warmUp, measured })
  const serverMs = (await bench.serverCpuMs()) - serverBeforeMs
  return {
    perSecond: (measured / lap.elapsedMs) * 1_000,
    clientCpuUs: (lap.cpuMs / measured) * 1_000,
    // The server's clock cannot be started by the client's warm-up, so this is over all events.
    redisCpuUs: (serverMs / (warmUp + measured)) * 1_000,
    removedShare: 1 - (await lengthOf(place)) / (warmUp + measured),
  }
}

async function lengthOf(place: Place): Promise<number> {
  const redis = new Redis(place.url, { connectionName: 'benchmark-look' })
  try {
    return await redis.xlen(`${place.prefix}{flights}flights`)
  } finally {
    redis.disconnect()
  }
}
