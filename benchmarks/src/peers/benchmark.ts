import { carryOut } from '../harness/carry-out.ts'
import { Judge } from '../harness/criterion.ts'
import { planRounds, type Variant } from '../harness/plan.ts'
import type { Findings } from '../harness/report.ts'
import type { Samples } from '../harness/samples.ts'
import { table } from '../harness/table.ts'
import type { Benchmark, Workbench } from '../harness/workbench.ts'
import type { Broker, BrokerChoice } from './brokers/broker.ts'
import { startNatsBroker } from './brokers/nats.ts'
import { startRabbitBroker } from './brokers/rabbitmq.ts'
import { startRedisBroker } from './brokers/redis.ts'
import { type BrokerName, type Contender, contenders, OURS, OURS_FEWER } from './contenders.ts'
import { measureFlow, measureLatency, measureRecovery } from './measure.ts'

/**
 * Claim: a group with acks, leases, validation and idempotent publishing moves events nearly as fast as
 * a loop by hand, at least eight times as fast as BullMQ, and has them in their handler sooner than
 * BullMQ has.
 *
 * How it is measured, for all libraries alike:
 * - One process publishes and one handles; an event is 200 bytes of JSON, and handlers only take note.
 * - `flow`: the clock runs from the first publishing call until the broker knows that the last event
 *   was handled, with both processes at work at the same time; after a warm-up in the same processes.
 *   CPU is that of both and of the broker, memory theirs at the end, from the operating system.
 * - `latency`: 250 events a second, each by a call of its own, from just before the call to the start of
 *   the handler, by a clock that both share. Two thousand events and a second at the pace come before.
 * - `recovery`: while 100 events a second are published the broker is killed with SIGKILL, is away for a
 *   second and comes back on its address with its files; from when clients can connect until an event is
 *   handled that was published after that. Events that were confirmed and not
 *   handled within five more seconds are counted.
 * - Durability is equal: every broker writes to a file before it confirms, and flushes to the device
 *   later, by its defaults or (Redis) by setting.
 * - Libraries that need long are given fewer events, after the same warm-up, and are compared with ours over
 *   as few.
 * - How each is set up stands at the top of its file in `clients/`, by what its documentation advises.
 * - A ratio is the median over the rounds of ours / theirs within a round. Only the floor (the loop by
 *   hand with ioredis) and BullMQ are gates.
 */
export const peers: Benchmark = {
  name: 'peers',
  summary: 'publish, handle, settle: against loops by hand, BullMQ and other libraries and brokers',
  run,
}

const fullRun = { rounds: 3, warmUp: 20_000, measured: 100_000, seconds: 3 }
const quickRun: typeof fullRun = { rounds: 1, warmUp: 1_000, measured: 5_000, seconds: 1 }

async function run(bench: Workbench): Promise<Findings> {
  const scale = bench.quick ? quickRun : fullRun
  await using brokers = new AsyncDisposableStack()
  const choices = await startBrokers(brokers, bench.tell)
  const here = Object.entries(contenders).flatMap(([name, contender]) => {
    const { broker } = choices[contender.broker]
    return broker === undefined ? [] : [{ name, contender, broker }]
  })
  const measurable = await whichWork(here, bench.tell)
  const variants = measurable.flatMap((one) => variantsOf(one, scale))
  const samples = await carryOut(planRounds(scale.rounds, variants), bench.tell)
  const names = measurable.map(({ name }) => name)
  const ratios = ratiosOf(names, samples)
  return {
    criteria: judge(bench.quick, ratios).criteria,
    ratios,
    values: Object.fromEntries(names.flatMap((name) => valuesOf(name, samples))),
    rounds: samples.all,
    notes: [summary(names, samples), ...notRun(choices, here, measurable)],
  }
}

type Choices = Readonly<Record<BrokerName, BrokerChoice>>

async function startBrokers(
  stack: AsyncDisposableStack,
  tell: (line: string) => void,
): Promise<Choices> {
  const started = async (
    name: string,
    start: () => Promise<BrokerChoice>,
  ): Promise<BrokerChoice> => {
    try {
      const choice = await start()
      if (choice.broker !== undefined) stack.use(choice.broker)
      tell(choice.broker?.version ?? `${name}: not run, ${choice.reason}`)
      return choice
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      tell(`${name}: not run, ${reason}`)
      return { reason }
    }
  }
  return {
    redis: await started('redis', async () => ({ broker: await startRedisBroker() })),
    nats: await started('nats', startNatsBroker),
    rabbitmq: await started('rabbitmq', startRabbitBroker),
  }
}

interface Measurable {
  readonly name: string
  readonly contender: Contender
  readonly broker: Broker
}

const TRIAL = { warmUp: 50, measured: 50 }
const TRIAL_MS = 30_000

/** A foreign library that does not work on this machine must not spoil the others' comparison. */
async function whichWork(
  all: readonly Measurable[],
  tell: (line: string) => void,
): Promise<readonly Measurable[]> {
  const working: Measurable[] = []
  for (const one of all) {
    try {
      const late = AbortSignal.timeout(TRIAL_MS)
      const tooLate = new Promise<never>((_, reject) => {
        late.addEventListener('abort', () => {
          reject(new Error('a hundred events took half a minute'))
        })
      })
      await Promise.race([measureFlow(one.contender.program, one.broker, TRIAL), tooLate])
      working.push(one)
    } catch (error) {
      if (one.name === OURS || one.name === 'floor' || one.name === 'bullmq') throw error
      tell(`${one.name}: not run, ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  return working
}

function variantsOf(
  { name, contender, broker }: Measurable,
  scale: typeof fullRun,
): readonly Variant[] {
  const { program, share } = contender
  const size = { warmUp: scale.warmUp, measured: scale.measured * share }
  const flow = {
    name: `${name}_flow`,
    expectedMs: 3_500,
    run: () => measureFlow(program, broker, size),
  }
  if (name === OURS_FEWER) return [flow]
  return [
    flow,
    {
      name: `${name}_latency`,
      expectedMs: 4_000 + scale.seconds * 1_000,
      run: () => measureLatency(program, broker, scale.seconds),
    },
    {
      name: `${name}_recovery`,
      expectedMs: 5_000,
      rounds: 1,
      run: () => measureRecovery(program, broker),
    },
  ]
}

function ratiosOf(names: readonly string[], samples: Samples): Readonly<Record<string, number>> {
  const ratios = names
    .filter((name) => name !== OURS && name !== OURS_FEWER)
    .flatMap((name) => {
      const against = contenders[name]?.against ?? OURS
      return [
        [`throughput_vs_${name}`, samples.ratio('perSecond', `${against}_flow`, `${name}_flow`)],
        [`p99_vs_${name}`, samples.ratio('p99Ms', `${OURS}_latency`, `${name}_latency`)],
        [`cpu_per_event_vs_${name}`, samples.ratio('cpuUs', `${against}_flow`, `${name}_flow`)],
      ] as const
    })
  return Object.fromEntries(ratios)
}

function judge(quick: boolean, ratios: Readonly<Record<string, number>>): Judge {
  const judging = new Judge(quick)
  const of = (name: string): number => ratios[name] ?? Number.NaN
  const floor = { target: 0.6, quick: 0.05 }
  judging.atLeast('throughput_vs_floor', of('throughput_vs_floor'), floor, '×')
  judging.atMost('p99_vs_floor', of('p99_vs_floor'), { target: 1.5, quick: 200 }, '×')
  const bull = { target: 8, quick: 0.2 }
  judging.atLeast('throughput_vs_bullmq', of('throughput_vs_bullmq'), bull, '×')
  judging.atMost('p99_vs_bullmq', of('p99_vs_bullmq'), { target: 1, quick: 200 }, '×')
  return judging
}

const flowFigures = ['perSecond', 'cpuUs', 'clientsMemoryMiB', 'brokerMemoryMiB']
const latencyFigures = ['p50Ms', 'p95Ms', 'p99Ms', 'maxMs']
const recoveryFigures = ['recoveredMs', 'confirmedUnhandled', 'refused', 'handledTwice']

function valuesOf(name: string, samples: Samples): readonly (readonly [string, number])[] {
  const medians = (part: string, figures: readonly string[]): (readonly [string, number])[] =>
    figures.map((figure) => [`${name}_${figure}`, samples.median(`${name}_${part}`, figure)])
  const flow = medians('flow', flowFigures)
  if (name === OURS_FEWER) return flow
  return [...flow, ...medians('latency', latencyFigures), ...medians('recovery', recoveryFigures)]
}

function summary(names: readonly string[], samples: Samples): string {
  const cell = (name: string, part: string, figure: string): string => {
    if (name === OURS_FEWER && part !== 'flow') return ''
    const value = samples.median(`${name}_${part}`, figure)
    return value >= 100 ? Math.round(value).toLocaleString('en') : String(+value.toPrecision(3))
  }
  return table(
    [
      '',
      'events/s',
      'CPU µs/event',
      'clients MiB',
      'p50 ms',
      'p99 ms',
      'back after ms',
      'unhandled',
    ],
    names.map((name) => [
      name,
      cell(name, 'flow', 'perSecond'),
      cell(name, 'flow', 'cpuUs'),
      cell(name, 'flow', 'clientsMemoryMiB'),
      cell(name, 'latency', 'p50Ms'),
      cell(name, 'latency', 'p99Ms'),
      cell(name, 'recovery', 'recoveredMs'),
      cell(name, 'recovery', 'confirmedUnhandled'),
    ]),
  )
}

function notRun(
  choices: Choices,
  here: readonly Measurable[],
  measurable: readonly Measurable[],
): readonly string[] {
  return Object.entries(contenders).flatMap(([name, { broker }]) => {
    if (measurable.some((one) => one.name === name)) return []
    const known = here.some((one) => one.name === name)
    return [`${name}: not run, ${known ? 'it does not work here' : choices[broker].reason}`]
  })
}
