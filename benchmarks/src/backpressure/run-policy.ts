import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { startRedis } from '@millrace/testkit'
import type { Series } from '../harness/plot.ts'
import { startProgram } from '../harness/program-process.ts'
import { thinned } from '../harness/thinned.ts'
import { type PolicyName, policies } from './policies.ts'
import type { GroupProgram, HandledSoFar, Produced, ProducerProgram } from './program.ts'

export interface PolicyTask {
  readonly policy: PolicyName
  readonly seconds: number
  readonly perSecond: number
}

/** One look at everything. */
interface Look {
  readonly seconds: number
  readonly events: number
  readonly redisMiB: number
  readonly producerMiB: number
  readonly groupMiB: number
  readonly handled: number
}

export interface PolicyRun {
  readonly policy: PolicyName
  readonly looks: readonly Look[]
  readonly produced: Produced
  /** After the group was let go and nothing waits any more. */
  readonly handled: HandledSoFar
  readonly handledPerSecond: number
  readonly publishedPerSecond: number
}

const producerFile = new URL('produce.ts', import.meta.url)
const groupFile = new URL('handle.ts', import.meta.url)
const LOOK_EVERY_MS = 1_000
/** A server that would take more than this refuses: the bounds lie far below. */
const MAX_MEMORY = '512mb'
const MIB = 1_048_576
/** As many as a plot shows. */
const MOST_POINTS = 150
/** How long working off what is left may take without any progress. */
const STUCK_MS = 30_000

/** Runs a producer and a group under the policy, on a server of their own. */
export async function runPolicy(task: PolicyTask): Promise<PolicyRun> {
  const { policy, seconds, perSecond } = task
  const directory = await mkdtemp(join(tmpdir(), 'millrace-backpressure-'))
  await using server = await startRedis({ args: ['--maxmemory', MAX_MEMORY] })
  const admin = new Redis(server.url, { connectionName: 'benchmark-admin' })
  try {
    await using group = startProgram<GroupProgram>(groupFile)
    await using producer = startProgram<ProducerProgram>(producerFile)
    const place = { url: server.url, prefix: 'bench:' }
    await group.ask('begin', { place, policy, perSecond })
    await producer.ask('begin', { place, policy, directory })
    const startMs = performance.now()
    const looks: Look[] = []
    while (performance.now() - startMs < seconds * 1_000) {
      await sleep(LOOK_EVERY_MS)
      const [produced, handled, info, events] = await Promise.all([
        producer.ask('look', null),
        group.ask('look', null),
        admin.info('memory'),
        admin.xlen(`${place.prefix}{flights}flights`),
      ])
      looks.push({
        seconds: (performance.now() - startMs) / 1_000,
        events,
        redisMiB: Number(/^used_memory:(\d+)/m.exec(info)?.[1]) / MIB,
        producerMiB: produced.residentBytes / MIB,
        groupMiB: handled.residentBytes / MIB,
        handled: handled.handled,
      })
    }
    const elapsedSeconds = (performance.now() - startMs) / 1_000
    const produced = await producer.ask('halt', null)
    await group.ask('letGo', null)
    const handled = await workedOff(group, produced.accepted)
    await producer.ask('end', null)
    await group.ask('end', null)
    return {
      policy,
      looks,
      produced,
      handled,
      handledPerSecond: (looks.at(-1)?.handled ?? 0) / elapsedSeconds,
      publishedPerSecond: produced.accepted / elapsedSeconds,
    }
  } finally {
    admin.disconnect()
    await rm(directory, { recursive: true, force: true })
  }
}

/** Waits until every event is accounted for, or nothing moves any more. */
async function workedOff(
  group: { ask(name: 'look', nothing: null): Promise<HandledSoFar> },
  accepted: number,
): Promise<HandledSoFar> {
  let last = await group.ask('look', null)
  let movedAtMs = performance.now()
  const isDone = ({ acknowledged, expired, waiting }: HandledSoFar): boolean =>
    acknowledged + expired >= accepted && waiting === 0
  while (!isDone(last) && performance.now() - movedAtMs < STUCK_MS) {
    await sleep(LOOK_EVERY_MS / 4)
    const now = await group.ask('look', null)
    if (now.handled !== last.handled || now.expired !== last.expired) movedAtMs = performance.now()
    last = now
  }
  return last
}

/** What is plotted, each with its bound; so little that it can be committed. */
export function seriesOf({ policy, looks }: PolicyRun): Series[] {
  const { bounds } = policies[policy]
  const over = (name: string, unit: string, figure: keyof Look, bound: number): Series => ({
    name: `${policy}: ${name}`,
    unit,
    bound,
    points: thinned(
      looks.map((look) => [rounded(look.seconds), rounded(look[figure])]),
      MOST_POINTS,
    ),
  })
  return [
    over('stream length', 'events', 'events', bounds.events),
    over('memory of Redis', 'MiB', 'redisMiB', bounds.redisMiB),
    over('memory of the producer', 'MiB resident', 'producerMiB', bounds.producerMiB),
    over('memory of the group', 'MiB resident', 'groupMiB', bounds.groupMiB),
  ]
}

export function greatest({ looks }: PolicyRun, figure: keyof Look): number {
  return Math.max(...looks.map((look) => look[figure]))
}

/**
 * The greatest in the second half of the run, as a multiple of that in the first: 1 when nothing grows. What lies
 * between says nothing, for a heap rises for minutes until it is collected.
 */
export function growth({ looks }: PolicyRun, figure: keyof Look): number {
  const half = Math.ceil(looks.length / 2)
  const of = (some: readonly Look[]): number => Math.max(...some.map((look) => look[figure]))
  return of(looks.slice(half)) / of(looks.slice(0, half))
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10
}
