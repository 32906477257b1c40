import { channels, connect } from '@millrace/runtime'
import { shareWithin } from '../harness/statistics.ts'
import { serve } from '../harness/program.ts'
import type { Received, ReceiverProgram, ReceiveTask } from '../latency/program.ts'
import { Latencies } from '../load/latencies.ts'
import { type Lap, stopwatch } from '../load/stopwatch.ts'
import { timedStream } from './timed.ts'

// One Consumer, with the options that the task names and defaults for the rest.
let latencies: Latencies
let stop: () => Lap
const handledAfterMs: number[] = []

serve({
  async open({ place, events, warmUp, latencyBudgetMs }: ReceiveTask) {
    const millrace = await connect(place.url, { prefix: place.prefix })
    channels.handled.subscribe(({ waitedMs, durationMs }) => {
      handledAfterMs.push(waitedMs + durationMs)
    })
    latencies = new Latencies({ events, warmUp })
    const budget = latencyBudgetMs === undefined ? {} : { latencyBudgetMs }
    const consumer = millrace.consumer(timedStream(), { name: 'bench', ...budget })
    consumer.start(({ data }) => {
      latencies.see(data)
    })
    await consumer.ready
    stop = stopwatch()
  },

  async received(): Promise<Received> {
    await latencies.complete
    const { p50, p95, p99, max } = latencies.spread()
    return {
      p50Ms: p50,
      p95Ms: p95,
      p99Ms: p99,
      maxMs: max,
      ...latencies.curve(),
      within500Ms: latencies.shareWithin(500),
      handledWithin100Ms: shareWithin(handledAfterMs, 100),
      cpuMs: stop().cpuMs,
    }
  },
} satisfies ReceiverProgram)
