import { carryOut } from '../harness/carry-out.ts'
import { Judge } from '../harness/criterion.ts'
import { planRounds, type Variant } from '../harness/plan.ts'
import type { Findings } from '../harness/report.ts'
import type { Samples } from '../harness/samples.ts'
import type { Benchmark, Workbench } from '../harness/workbench.ts'
import { measureProducerDeath, producerDeaths } from './producer-deaths.ts'
import { measureRedisDeath, redisDeaths } from './redis-deaths.ts'

/**
 * Claim: what each setting of Redis and of a producer promises to keep, it keeps; what the others lose is
 * told.
 *
 * How it is measured:
 * - A Redis with the setting is killed (SIGKILL) while one process publishes events of ten bytes with 64
 *   calls under way. It is started again, or its replica, 20 ms away, is promoted. `lost` are events whose
 *   call had been answered and that are not in the stream then.
 * - A producer's process is killed while it publishes, with Redis there or just killed, and another one comes
 *   after it. Each answer was written to a file before anything else happened. Redis keeps what it has.
 *   `goneWithoutAnswer` are events whose call had no answer and that are not in the stream.
 * - SIGKILL ends a process and leaves its machine running, so this is no test of a power cut.
 * - Sums are over all rounds; rates are medians, for comparison with one another only.
 */
export const durability: Benchmark = {
  name: 'durability',
  summary: 'what is lost of confirmed events when Redis or a producer is killed, by settings',
  run,
}

/** The ones that promise to lose nothing when a process is killed. */
const lossless: readonly string[] = [
  'aof_always',
  'replica_waited_for',
  ...producerDeaths.map(({ name }) => name),
]

async function run(bench: Workbench): Promise<Findings> {
  const loadMs = bench.quick ? 800 : 2_000
  const variants: readonly Variant[] = [
    ...redisDeaths.map((death) => ({
      name: death.name,
      expectedMs: loadMs * 2 + 1_000,
      run: () => measureRedisDeath(death, loadMs),
    })),
    ...producerDeaths.map((death) => ({
      name: death.name,
      expectedMs: 2_000,
      run: () => measureProducerDeath(death),
    })),
  ]
  const samples = await carryOut(planRounds(bench.quick ? 1 : 5, variants), bench.tell)
  const judge = new Judge(bench.quick)
  for (const name of lossless)
    judge.atMost(`${name}_lost`, sum(samples, name, 'lost'), { target: 0 }, 'events')
  // Otherwise nothing was killed, or nothing was under way.
  judge.atLeast(
    'no_persistence_lost',
    sum(samples, 'no_persistence', 'lost'),
    { target: 1 },
    'events',
  )
  judge.atLeast('least_confirmed', leastConfirmed(samples), { target: 500, quick: 64 }, 'events')
  return {
    criteria: judge.criteria,
    ratios: {},
    values: Object.fromEntries([
      ...redisDeaths.flatMap(({ name }) => valuesOfRedis(samples, name)),
      ...producerDeaths.flatMap(({ name }) => valuesOfProducer(samples, name)),
    ]),
    rounds: samples.all,
  }
}

function valuesOfRedis(samples: Samples, name: string): [string, number][] {
  const losses = figuresOf(samples, name, 'lost')
  return [
    [`${name}_confirmed_per_second`, samples.median(name, 'perSecond')],
    [`${name}_confirmed`, sum(samples, name, 'confirmed')],
    [`${name}_lost`, sum(samples, name, 'lost')],
    [`${name}_rounds`, losses.length],
    [`${name}_rounds_with_loss`, losses.filter((lost) => lost > 0).length],
    [`${name}_most_lost`, Math.max(...losses)],
  ]
}

function valuesOfProducer(samples: Samples, name: string): [string, number][] {
  return [
    [`${name}_calls`, sum(samples, name, 'calls')],
    [`${name}_answered`, sum(samples, name, 'answered')],
    [`${name}_lost`, sum(samples, name, 'lost')],
    [`${name}_gone_without_answer`, sum(samples, name, 'goneWithoutAnswer')],
  ]
}

function leastConfirmed(samples: Samples): number {
  const confirmed = [
    ...redisDeaths.flatMap(({ name }) => figuresOf(samples, name, 'confirmed')),
    ...producerDeaths.flatMap(({ name }) => figuresOf(samples, name, 'answered')),
  ]
  return Math.min(...confirmed)
}

function sum(samples: Samples, variant: string, figure: string): number {
  return figuresOf(samples, variant, figure).reduce((total, value) => total + value, 0)
}

function figuresOf(samples: Samples, variant: string, figure: string): number[] {
  return samples.all
    .filter((sample) => sample.variant === variant)
    .map(({ figures }) => figures[figure] ?? Number.NaN)
}
