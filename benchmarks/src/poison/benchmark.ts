import { carryOut } from '../harness/carry-out.ts'
import { Judge } from '../harness/criterion.ts'
import { planRounds, type Variant } from '../harness/plan.ts'
import { startProgram } from '../harness/program-process.ts'
import type { Findings } from '../harness/report.ts'
import type { Figures } from '../harness/samples.ts'
import { spreadOf } from '../harness/statistics.ts'
import type { Benchmark, Place, Workbench } from '../harness/workbench.ts'
import type { SenderProgram } from '../latency/program.ts'
import { isPoison, type MemberProgram, type Poison } from './program.ts'

/**
 * Claim: an event that fails for ever harms nobody else. In a group of four under load the others' p99 is
 * what it is without such events; each becomes a dead letter after its attempts, and after a fix redrive
 * has it handled once, in that group only.
 *
 * How it is measured:
 * - One process publishes 500 events a second, four others are the members of a group, and another four of a
 *   second group on the same stream to which nothing is poison. Every handler waits 2 ms.
 * - One event in 500 is poison: it throws at each attempt, or does not return until its time limit of
 *   1 s. In the variant `none` the same events are harmless.
 * - The latency is from just before the call of publish to the start of the handler, of harmless events
 *   only, and without the 1,000 that warm everybody up.
 * - The ratio is that of the two groups' p99 in one and the same run, which other work of the machine delays
 *   alike; the figure is the median over the rounds. `none` tells how much of it is chance.
 * - A harmless event that is missing, a dead letter too many or too few, and a redriven event that is handled
 *   twice or by the other group end the benchmark with an error. Where the machine stalls for longer than the
 *   time limit, harmless events are rightly handled again; they are counted as `repeated`.
 */
export const poison: Benchmark = {
  name: 'poison',
  summary: 'what events that fail for ever cost the others of their group',
  run,
}

const MEMBERS = 4
const PER_SECOND = 500
const WARM_UP = 1_000
const ATTEMPTS = 5
const kinds: readonly Poison[] = ['none', 'throws', 'hangs']

const programs = {
  member: new URL('../millrace/poisoned-member.ts', import.meta.url),
  sender: new URL('../millrace/send.ts', import.meta.url),
}

async function run(bench: Workbench): Promise<Findings> {
  const seconds = bench.quick ? 4 : 10
  const variants = kinds.map((kind): Variant => {
    return {
      name: kind,
      expectedMs: 5_000 + seconds * 1_000,
      run: () => measure(bench, kind, seconds),
    }
  })
  const samples = await carryOut(planRounds(bench.quick ? 2 : 5, variants), bench.tell)
  const ratios = Object.fromEntries(
    kinds.flatMap((kind) => [
      [`p50_${kind}_vs_beside`, samples.median(kind, 'p50VsBeside')],
      [`p99_${kind}_vs_beside`, samples.median(kind, 'p99VsBeside')],
    ]),
  )
  const judging = new Judge(bench.quick)
  for (const kind of ['throws', 'hangs']) {
    const id = `p99_${kind}_vs_beside`
    judging.atMost(id, ratios[id] ?? Number.NaN, { target: 1.25, quick: 20 }, '×')
  }
  const values = kinds.flatMap((kind) =>
    ['p50Ms', 'p99Ms', 'besideP50Ms', 'besideP99Ms', 'deadLetters'].map((figure) => [
      `${kind}_${figure}`,
      samples.median(kind, figure),
    ]),
  )
  return {
    criteria: judging.criteria,
    ratios,
    values: Object.fromEntries(values),
    rounds: samples.all,
  }
}

async function measure(bench: Workbench, kind: Poison, seconds: number): Promise<Figures> {
  const place = await bench.emptyPlace()
  const events = WARM_UP + PER_SECOND * seconds
  await using processes = new AsyncDisposableStack()
  const members: Member[] = []
  for (let n = 0; n < MEMBERS; n++) members.push(await join(processes, place, 'pool', kind))
  const neighbours: Member[] = []
  for (let n = 0; n < MEMBERS; n++)
    neighbours.push(await join(processes, place, 'neighbours', 'none'))
  const sender = processes.use(startProgram<SenderProgram>(programs.sender))
  await sender.ask('send', { place, perSecond: PER_SECOND, events, atOnce: 1, warmUp: WARM_UP })
  const poisoned = numbers(events).filter((n) => kind !== 'none' && isPoison(n, WARM_UP))
  const [first] = members
  const [neighbour] = neighbours
  if (first === undefined || neighbour === undefined) throw new Error('there are no members')
  const attempts = await first.ask('gaveUp', poisoned.length)
  if (attempts.length !== poisoned.length || attempts.some((n) => n !== ATTEMPTS))
    throw new Error(`dead letters after ${attempts.join(', ')} attempts`)
  const before = await Promise.all(members.map((member) => member.ask('handled', null)))
  await Promise.all(members.map((member) => member.ask('mend', null)))
  const { redriven } = await first.ask('redrive', null)
  if (redriven !== poisoned.length) throw new Error(`${redriven} events were redriven`)
  const after = await Promise.all(members.map((member) => member.ask('handled', null)))
  const handled = after.flatMap(({ sequences }) => sequences)
  assertAll(handled, events, 'the group')
  const again = after.flatMap((member) => member.redriven).toSorted((a, b) => a - b)
  if (again.join() !== poisoned.join()) throw new Error(`redriven were ${again.join(', ')}`)
  await neighbour.ask('gaveUp', 0)
  const beside = await Promise.all(neighbours.map((member) => member.ask('handled', null)))
  assertAll(
    beside.flatMap(({ sequences }) => sequences),
    events,
    'the group beside it',
  )
  if (beside.some((member) => member.redriven.length > 0))
    throw new Error('the group beside it got redriven events')
  const own = spreadOf(before.flatMap(({ latenciesMs }) => latenciesMs))
  const others = spreadOf(beside.flatMap(({ latenciesMs }) => latenciesMs))
  return {
    p50Ms: own.p50,
    p99Ms: own.p99,
    besideP50Ms: others.p50,
    besideP99Ms: others.p99,
    p50VsBeside: own.p50 / others.p50,
    p99VsBeside: own.p99 / others.p99,
    deadLetters: attempts.length,
    repeated: handled.length - events,
  }
}

type Member = ReturnType<typeof startProgram<MemberProgram>>

async function join(
  processes: AsyncDisposableStack,
  place: Place,
  group: string,
  kind: Poison,
): Promise<Member> {
  const member = processes.use(startProgram<MemberProgram>(programs.member))
  await member.ask('join', { place, group, poison: kind, warmUp: WARM_UP })
  return member
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, n) => n)
}

function assertAll(seen: readonly number[], events: number, who: string): void {
  const different = new Set(seen)
  const missing = numbers(events).filter((n) => !different.has(n))
  if (missing.length > 0)
    throw new Error(`${who} lacks ${missing.length} events: ${missing.join(', ')}`)
}
