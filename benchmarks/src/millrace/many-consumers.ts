import { spawnSync } from 'node:child_process'
import { constants, setPriority } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Consumer, connect, type Millrace } from '@millrace/runtime'
import type { ConsumersProgram, Delivered, OpenTask } from '../fanout/program.ts'
import { serve } from '../harness/program.ts'
import { spreadOf } from '../harness/statistics.ts'
import { type Lap, stopwatch } from '../load/stopwatch.ts'
import { nowUs, type TimedEvent } from '../load/timed-event.ts'
import { timedStream } from './timed.ts'

// Many Consumers in one process, on one stream or on many. All count; some of them, spread evenly,
// also measure how long events took, because a look at the clock costs as much as a whole delivery.
const MOST_MEASURING = 10
const SLOW_MS = 100

let millrace: Millrace
let consumers: Consumer<TimedEvent>[] = []
let deliveries = 0
let latenciesMs: number[] = []
let stop: () => Lap = stopwatch()
let awaited: { readonly deliveries: number; readonly resolve: () => void } | undefined
let slowHandled = 0

serve({
  async open(task: OpenTask) {
    if (task.lowPriority === true) giveWay()
    millrace = await connect(task.place.url, { prefix: task.place.prefix })
    consumers = open(task)
    await Promise.all(consumers.map(({ ready }) => ready))
    // A lease comes first, then a look at what is there; the tail is opened by whoever has read it all.
    while (millrace.connections['tail'] !== 1) await sleep(5)
  },

  begin() {
    deliveries = 0
    latenciesMs = []
    stop = stopwatch()
  },

  async delivered(due: number): Promise<Delivered> {
    if (deliveries < due) {
      await new Promise<void>((resolve) => {
        awaited = { deliveries: due, resolve }
      })
    }
    if (deliveries > due) throw new Error(`${deliveries} deliveries where ${due} were due`)
    const { p50, p95, p99, max } = spreadOf(latenciesMs)
    return { p50Ms: p50, p95Ms: p95, p99Ms: p99, maxMs: max, cpuMs: stop().cpuMs }
  },

  latencies: () => latenciesMs,

  async memory() {
    if (globalThis.gc === undefined) throw new Error('this needs --expose-gc')
    globalThis.gc()
    // What finalizers release goes with the second collection.
    await sleep(50)
    globalThis.gc()
    const { heapUsed, external, rss } = process.memoryUsage()
    return { heapKiB: (heapUsed + external) / 1_024, residentKiB: rss / 1_024 }
  },

  async openSlow() {
    const first = Promise.withResolvers<void>()
    const slow = millrace.consumer(timedStream(), { name: `slow-${process.pid}` })
    slow.start(async () => {
      await sleep(SLOW_MS)
      slowHandled += 1
      first.resolve()
    })
    await Promise.race([first.promise, slow.done])
  },

  slowHandled: () => slowHandled,
} satisfies ConsumersProgram)

/**
 * Takes only what others leave, as if this were another machine. The lowest nice value alone still takes a
 * core from who publishes, each time it wakes up.
 */
function giveWay(): void {
  setPriority(constants.priority.PRIORITY_LOW)
  const scheduler = ['--all-tasks', '--idle', '--pid', '0', String(process.pid)]
  const { status } = spawnSync('chrt', scheduler, { stdio: 'ignore' })
  if (status !== 0) process.stderr.write('Without chrt, the lowest nice value has to do.\n')
}

function open({ streams, consumersPerStream, latencyBudgetMs }: OpenTask): Consumer<TimedEvent>[] {
  const all = streams * consumersPerStream
  const measuringEvery = Math.ceil(all / (streams > 1 ? all : MOST_MEASURING))
  const budget = latencyBudgetMs === undefined ? {} : { latencyBudgetMs }
  return Array.from({ length: streams }, (_, index) => timedStream(index)).flatMap((stream, s) =>
    Array.from({ length: consumersPerStream }, (_, c) => {
      const measuring = (s * consumersPerStream + c) % measuringEvery === 0
      const consumer = millrace.consumer(stream, {
        name: `c-${process.pid}-${c}`,
        from: 'latest',
        ...budget,
      })
      return consumer.start(({ data }) => {
        see(data, measuring)
      })
    }),
  )
}

function see(event: TimedEvent, measuring: boolean): void {
  deliveries += 1
  if (measuring) latenciesMs.push((nowUs() - event.sentUs) / 1_000)
  if (awaited !== undefined && deliveries >= awaited.deliveries) {
    awaited.resolve()
    awaited = undefined
  }
}
