import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type RedisServer, startRedis } from '@millrace/testkit'
import { Judge } from '../harness/criterion.ts'
import { type ProgramProcess, startProgram } from '../harness/program-process.ts'
import type { Findings } from '../harness/report.ts'
import type { Benchmark, Workbench } from '../harness/workbench.ts'
import { temporaryFolder } from '../harness/temporary-folder.ts'
import { readJournal } from '../load/journal.ts'
import { type Account, accountFor } from './account.ts'
import { Hosts } from './hosts.ts'
import type { LossPublisherProgram } from './program.ts'
import { type Disturbance, disturbances } from './schedule.ts'

/**
 * Claim: of a million events that were accepted, every consumer and every group handles every one, and
 * consumers in order, while processes die and are started again and Redis does (SC-003, FR-002, FR-003).
 *
 * How it is measured:
 * - 20 readers on one stream, in default options: 12 Consumers, each held by one of four processes, and 8
 *   ConsumerGroups with a member in each of the four.
 * - Another process publishes the events, numbered, in chunks of 500, at up to 15,000 a second.
 *   It waits half-way between two restarts where a restart takes long, so that each meets a flow of events.
 * - Meanwhile, and while the readers work off what is left, processes are killed (SIGKILL) or closed and
 *   started again, and Redis is killed and started again once, early, with its append-only file.
 * - Every handler writes the event's number to a file before it returns; what a killed process wrote stays.
 *   When nobody is behind any more the files are read. `lost`: events of a reader that are in none of its
 *   files. `out of order`: events that a Consumer handled for the first time after a later one.
 *   `repeated` are further deliveries of handled events, which at-least-once allows; they are published.
 */
export const loss: Benchmark = {
  name: 'loss',
  summary: 'a million events for 20 consumers and groups, with restarts in between: none is lost',
  run,
}

interface Scale {
  readonly events: number
  readonly perSecond: number
}

const fullScale: Scale = { events: 1_000_000, perSecond: 15_000 }
const quickScale: Scale = { events: 20_000, perSecond: 1_000 }
const consumers = Array.from({ length: 12 }, (_, index) => `consumer-${index}`)
const groups = Array.from({ length: 8 }, (_, index) => `group-${index}`)
const PROCESSES = 4
const LOOK_EVERY_MS = 1_000
/** Nobody has come any further for so long: what is missing will not come any more. */
const STUCK_MS = 45_000

const publisherFile = new URL('../millrace/publish-counted.ts', import.meta.url)

async function run(bench: Workbench): Promise<Findings> {
  const { events, perSecond } = bench.quick ? quickScale : fullScale
  bench.tell(
    `${events.toLocaleString('en')} events for 20 readers, ${bench.quick ? 'about 40 s' : 'about 4 min'}`,
  )
  await using folder = await temporaryFolder('loss')
  const directory = folder.path
  await using server = await startRedis({ persistence: true })
  const place = { url: server.url, prefix: 'bench:' }
  await using hosts = await Hosts.open({ place, directory, consumers, groups }, PROCESSES)
  await using publisher = startProgram<LossPublisherProgram>(publisherFile)
  const startMs = performance.now()
  await publisher.ask('open', { place, events, perSecond })
  const schedule = disturbances(PROCESSES)
  for (const [index, disturbance] of schedule.entries()) {
    const at = Math.floor(disturbance.share * events)
    // Half-way to the next one at most, so that events flow before each, during each and after it.
    const following = schedule[index + 1]?.share ?? 1
    await publisher.ask('allow', Math.ceil(((disturbance.share + following) / 2) * events))
    await publisher.ask('accepted', at)
    bench.tell(
      `${index + 1}/${schedule.length} at ${at.toLocaleString('en')} events: ${disturbance.is} (${leftOf(disturbance.share, performance.now() - startMs)})`,
    )
    await disturb(disturbance, server, hosts)
  }
  await publisher.ask('allow', events)
  await publisher.ask('accepted', events)
  const publishedMs = performance.now() - startMs
  await workedOff(bench, publisher)
  const elapsedMs = performance.now() - startMs
  // Orderly, so that nothing is handled while the files are read.
  await hosts.close()
  const accounts = await accountsOf(directory, events)
  return findingsOf(bench.quick, accounts, { events, publishedMs, elapsedMs }, schedule)
}

async function disturb(disturbance: Disturbance, server: RedisServer, hosts: Hosts): Promise<void> {
  switch (disturbance.is) {
    case 'Redis is killed and started again':
      await server.kill('SIGKILL')
      await server.restart()
      // From here on the file would only grow, to gigabytes.
      await server.client().config('SET', 'appendonly', 'no')
      return
    case 'a process is killed and started again':
      await hosts.replace(disturbance.process, 'killed')
      return
    case 'a process is closed and started again':
      await hosts.replace(disturbance.process, 'closed')
      return
    default:
      disturbance satisfies never
  }
}

async function workedOff(
  bench: Workbench,
  publisher: ProgramProcess<LossPublisherProgram>,
): Promise<void> {
  let least = Infinity
  let movedAtMs = performance.now()
  let toldAtMs = movedAtMs
  for (;;) {
    const behind = await publisher.ask('behind', null)
    if (behind === 0) return
    const nowMs = performance.now()
    if (behind < least) movedAtMs = nowMs
    least = Math.min(least, behind)
    if (nowMs - movedAtMs > STUCK_MS) return
    if (nowMs - toldAtMs > 10_000) {
      bench.tell(`    ${behind.toLocaleString('en')} deliveries left`)
      toldAtMs = nowMs
    }
    await sleep(LOOK_EVERY_MS)
  }
}

async function accountsOf(directory: string, events: number): Promise<Map<string, Account>> {
  const files = await readdir(directory)
  const accounts = new Map<string, Account>()
  for (const reader of [...consumers, ...groups]) {
    const journals = files
      .filter((file) => file.startsWith(`${reader}.`))
      .toSorted((a, b) => runOf(a) - runOf(b))
      .map((file) => readJournal(join(directory, file)))
    accounts.set(reader, accountFor(await Promise.all(journals), events))
  }
  return accounts
}

function runOf(file: string): number {
  return Number(file.slice(file.lastIndexOf('.') + 1))
}

function findingsOf(
  quick: boolean,
  accounts: ReadonlyMap<string, Account>,
  {
    events,
    publishedMs,
    elapsedMs,
  }: Readonly<Record<'elapsedMs' | 'events' | 'publishedMs', number>>,
  schedule: readonly Disturbance[],
): Findings {
  const sum = (names: readonly string[], figure: keyof Account): number =>
    names.reduce((total, name) => total + (accounts.get(name)?.[figure] ?? Number.NaN), 0)
  const all = [...consumers, ...groups]
  const judge = new Judge(quick)
  judge.atMost('sc_003_lost_by_consumers', sum(consumers, 'lost'), { target: 0 }, 'events')
  judge.atMost('sc_003_lost_by_groups', sum(groups, 'lost'), { target: 0 }, 'events')
  judge.atMost('fr_003_out_of_order', sum(consumers, 'outOfOrder'), { target: 0 }, 'events')
  judge.atLeast('sc_003_events', events, { target: fullScale.events, quick: quickScale.events }, '')
  judge.atLeast('fr_004_readers', all.length, { target: 20 }, '')
  const kills = schedule.filter(({ is }) => is === 'a process is killed and started again').length
  const values = {
    events,
    deliveries: events * all.length,
    processes_killed: kills,
    disturbances: schedule.length,
    repeated_by_consumers: sum(consumers, 'repeated'),
    repeated_by_groups: sum(groups, 'repeated'),
    published_per_second: (events / publishedMs) * 1_000,
    deliveries_per_second: ((events * all.length) / elapsedMs) * 1_000,
    elapsed_seconds: elapsedMs / 1_000,
  }
  const rounds = [...accounts].map(([variant, account]) => ({
    round: 1,
    variant,
    figures: { ...account },
  }))
  return { criteria: judge.criteria, ratios: {}, values, rounds }
}

/** Working off what is left takes about as long again. */
function leftOf(share: number, elapsedMs: number): string {
  return `about ${Math.max(Math.round(((elapsedMs / share) * 2 - elapsedMs) / 1_000), 1)} s left`
}
