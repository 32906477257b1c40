import { setTimeout as pause } from 'node:timers/promises'
import { carryOut } from '../harness/carry-out.ts'
import { Judge } from '../harness/criterion.ts'
import { planRounds, type Variant } from '../harness/plan.ts'
import { startProgram } from '../harness/program-process.ts'
import type { Findings } from '../harness/report.ts'
import type { Figures } from '../harness/samples.ts'
import type { Benchmark, Workbench } from '../harness/workbench.ts'
import type { SenderProgram } from '../latency/program.ts'
import type { AnsweringProgram, PollingProgram } from './program.ts'

/**
 * Claim: a thousand long-polls that wait on one process have a new event within 100 ms, and cost Redis
 * one blocked connection.
 *
 * How it is measured:
 * - One process answers polls over HTTP from a cursor feed with defaults; another one has 1,000 pollers,
 *   each on a connection of its own; a third publishes two events a second, each of which answers all of them.
 * - The latency is from just before the publishing call to the last byte of the answer at the poller, by a
 *   clock that all share: it includes the JSON, the sockets and the work of 1,000 clients in one process.
 * - These clients are bare sockets that share one buffer, make each request once and parse equal answers once, for
 *   the floor and the feed alike: with an HTTP client for each poller the clients took longer for a thousand answers
 *   than the server did, on the cores that both share. They ask again once no more answers arrive.
 * - `in_process` has the same pollers in the answering process, without HTTP.
 * - The floor is a server written by hand around one XREAD, which makes one body and writes it to all.
 * - The first two events are not counted. An event that comes late, twice or not in order is an error.
 * - Percentiles are over all pollers and events of a round, figures are medians over the rounds.
 */
export const longPolls: Benchmark = {
  name: 'long-polls',
  summary:
    '1,000 waiting polls over HTTP: from publishing to the answer, against a hand-written server',
  run,
}

const POLLERS = 1_000
const PER_SECOND = 2
const WARM_UP = 2

interface Contender {
  readonly program: URL
  readonly isOverHttp: boolean
}

const contenders: Readonly<Record<string, Contender>> = {
  floor: { program: new URL('answer-by-hand.ts', import.meta.url), isOverHttp: true },
  feed: { program: new URL('answer.ts', import.meta.url), isOverHttp: true },
  in_process: { program: new URL('answer.ts', import.meta.url), isOverHttp: false },
}

async function run(bench: Workbench): Promise<Findings> {
  const events = WARM_UP + (bench.quick ? 6 : 20)
  const variants = Object.entries(contenders).map(([name, contender]): Variant => {
    return {
      name,
      expectedMs: 1_500 + (events / PER_SECOND) * 1_000,
      run: () => measure(bench, contender, events),
    }
  })
  const samples = await carryOut(planRounds(bench.quick ? 2 : 4, variants), bench.tell)
  const ratios = {
    p50_vs_floor: samples.ratio('p50Ms', 'feed', 'floor'),
    p99_vs_floor: samples.ratio('p99Ms', 'feed', 'floor'),
    cpu_vs_floor: samples.ratio('cpuMs', 'feed', 'floor'),
  }
  const judging = new Judge(bench.quick)
  judging.atMost('feed_p99', samples.median('feed', 'p99Ms'), { target: 100, quick: 10_000 }, 'ms')
  const inProcess = samples.median('in_process', 'p99Ms')
  judging.atMost('in_process_p99', inProcess, { target: 100, quick: 10_000 }, 'ms')
  const connections = samples.greatest('feed', 'connections')
  judging.atMost('feed_connections', connections, { target: 3 }, 'connections')
  const values = Object.keys(contenders).flatMap((name) =>
    ['p50Ms', 'p95Ms', 'p99Ms', 'maxMs', 'cpuMs', 'connections'].map((figure) => [
      `${name}_${figure}`,
      samples.median(name, figure),
    ]),
  )
  return {
    criteria: judging.criteria,
    ratios,
    values: Object.fromEntries(values),
    rounds: samples.all,
  }
}

async function measure(
  bench: Workbench,
  { program, isOverHttp }: Contender,
  events: number,
): Promise<Figures> {
  const place = await bench.emptyPlace()
  await using answerer = startProgram<AnsweringProgram>(program)
  await using poller = startProgram<PollingProgram>(new URL('poll.ts', import.meta.url))
  await using sender = startProgram<SenderProgram>(new URL('../millrace/send.ts', import.meta.url))
  const { url } = await answerer.ask('listen', { place })
  const task = { pollers: POLLERS, events, warmUp: WARM_UP }
  const polling = isOverHttp ? poller.ask('poll', { url, ...task }) : answerer.ask('pollHere', task)
  while ((await answerer.ask('waiting', null)).polls < POLLERS) await pause(20)
  const connections = await bench.connections()
  await sender.ask('send', { place, perSecond: PER_SECOND, events, atOnce: 1 })
  const polled = await polling
  const { cpuMs } = await answerer.ask('spent', null)
  return { ...polled, cpuMs, connections }
}
