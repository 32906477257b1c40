import { Judge } from '../harness/criterion.ts'
import type { Findings } from '../harness/report.ts'
import type { Benchmark, Workbench } from '../harness/workbench.ts'
import { policies, policyNames } from './policies.ts'
import { greatest, growth, type PolicyRun, runPolicy, seriesOf } from './run-policy.ts'

/**
 * Claim: a producer that is faster than its consumers fills up neither Redis nor a process, whatever its
 * owner has chosen, and nothing is lost without being counted.
 *
 * How it is measured:
 * - One process publishes 200-byte events as fast as it is let, in chunks of 100 with four under way; what is
 *   refused for the time being it publishes again when the error says. Another is the one member of a group
 *   and handles 1,000 events a second. Both are at their defaults but for the watermarks (5,000, 10,000 and
 *   20,000 events) and the stream's retention: what is processed goes, and only with `expire` what is not.
 * - Each policy has a server and two processes of its own; all run side by side for the whole time, so
 *   they share the machine.
 * - Each second: length of the stream, memory of Redis, resident memory of both processes. The greatest
 *   of each is held against a bound, and that of the second half against that of the first: at most a quarter
 *   more in a run of ten minutes, and twice as much in a shorter one, in which heaps are still growing.
 * - In the end the producer stops, the group is let go, and the events are counted. An event is either
 *   acknowledged while it is pending, or it has expired: `unaccounted` is by how much the two together differ
 *   from what was accepted. `lost` are events that were accepted and neither handled nor counted as
 *   expired. `handled_although_expired` are in both: their handler was busy when they expired.
 */
export const backpressure: Benchmark = {
  name: 'backpressure',
  summary: 'a producer at full speed against a slow group, with each policy, over minutes',
  takes: { minutes: true, policies: policyNames },
  run,
}

const MINUTES = 10
const QUICK_MINUTES = 1 / 3
const HANDLED_PER_SECOND = 1_000
/** What is held against the end is what came after a fifth of this. */
const SETTLED_SECONDS = 590

async function run(bench: Workbench): Promise<Findings> {
  const minutes = bench.minutes ?? (bench.quick ? QUICK_MINUTES : MINUTES)
  const chosen = policyNames.filter(
    (name) => bench.policies.length === 0 || bench.policies.includes(name),
  )
  bench.tell(`${chosen.join(', ')} side by side for ${Number(minutes.toPrecision(2))} min`)
  const task = { seconds: minutes * 60, perSecond: HANDLED_PER_SECOND }
  const runs = await Promise.all(chosen.map((policy) => runPolicy({ policy, ...task })))
  const judge = new Judge(bench.quick)
  for (const one of runs) judgeRun(judge, one)
  return {
    criteria: judge.criteria,
    ratios: {},
    values: Object.fromEntries(runs.flatMap(valuesOf)),
    rounds: runs.map((one) => ({
      round: 1,
      variant: one.policy,
      figures: Object.fromEntries(valuesOf(one)),
    })),
    series: runs.flatMap(seriesOf),
  }
}

function judgeRun(judge: Judge, one: PolicyRun): void {
  const { policy, produced, handledPerSecond } = one
  const { bounds } = policies[policy]
  const atMost = (name: string, measured: number, target: number, unit = ''): void => {
    judge.atMost(`${policy}_${name}`, measured, { target }, unit)
  }
  atMost('most_events', greatest(one, 'events'), bounds.events, 'events')
  atMost('most_redis', greatest(one, 'redisMiB'), bounds.redisMiB, 'MiB')
  atMost('most_producer', greatest(one, 'producerMiB'), bounds.producerMiB, 'MiB')
  atMost('most_group', greatest(one, 'groupMiB'), bounds.groupMiB, 'MiB')
  for (const figure of ['redisMiB', 'producerMiB', 'groupMiB'] as const) {
    const limits = { target: isLong(one) ? 1.25 : 2 }
    judge.atMost(`${policy}_growth_of_${figure}`, growth(one, figure), limits, '×')
  }
  atMost('lost', lostBy(one), 0, 'events')
  atMost('unaccounted', unaccountedBy(one), 0, 'events')
  atMost('failed', produced.failed, 0, 'calls')
  if (policy !== 'expire') atMost('expired', one.handled.expired, 0, 'events')
  // Otherwise there was no pressure, or the group was not what it is said to be.
  judge.atLeast(`${policy}_handled`, handledPerSecond, { target: 900, quick: 300 }, '/s')
  judge.atLeast(`${policy}_backlog`, greatest(one, 'events'), { target: 5_000 }, 'events')
}

/** Node's heap grows for some minutes before it settles, so in a short run the beginning says nothing. */
function isLong({ looks }: PolicyRun): boolean {
  return (looks.at(-1)?.seconds ?? 0) >= SETTLED_SECONDS
}

function lostBy({ produced, handled }: PolicyRun): number {
  return Math.max(produced.accepted - handled.handled - handled.expired, 0)
}

function unaccountedBy({ produced, handled }: PolicyRun): number {
  return Math.abs(produced.accepted - handled.acknowledged - handled.expired)
}

function valuesOf(one: PolicyRun): [string, number][] {
  const { policy, produced, handled } = one
  const name = (of: string): string => `${policy}_${of}`
  return [
    [name('published_per_second'), one.publishedPerSecond],
    [name('handled_per_second'), one.handledPerSecond],
    [name('published'), produced.accepted],
    [name('by_way_of_disk'), produced.spooled],
    [name('refused_for_the_time_being'), produced.refused],
    [name('handled'), handled.handled],
    [name('handled_again'), handled.again],
    [name('leases_lost'), handled.leasesLost],
    [name('expired'), handled.expired],
    [name('handled_although_expired'), handled.handled - handled.acknowledged],
    [name('unaccounted'), unaccountedBy(one)],
    [name('lost'), lostBy(one)],
  ]
}
