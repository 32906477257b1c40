import type { Variant } from '../harness/plan.ts'
import type { Figures } from '../harness/samples.ts'
import { median } from '../harness/statistics.ts'
import type { Workbench } from '../harness/workbench.ts'
import { Crew } from './crew.ts'
import { startPublisher } from './programs.ts'

export interface OneStreamScale {
  readonly seconds: number
  readonly floodEvents: number
  readonly bursts: number
}

/** So many a second that the thousand consumers of one process can follow them on a part of a core. */
const PER_SECOND = 500
const BURST_EVENTS = 1_000

/** How many consumers there are, and in how many processes. */
export interface Spreading {
  readonly consumers: number
  readonly processes: number
}

/** Any number of consumers on one stream, in one process or evenly spread over some. */
export function oneStream(
  bench: Workbench,
  spreading: Spreading,
  scale: OneStreamScale,
  rounds: number,
): Variant {
  const { consumers, processes } = spreading
  return {
    name: `consumers_${consumers}${processes === 1 ? '' : `_in_${processes}`}`,
    rounds,
    expectedMs:
      4_500 + processes * 500 + scale.seconds * 1_000 + scale.bursts * (50 + consumers * 0.5),
    run: () => measure(bench, spreading, scale),
  }
}

async function measure(
  bench: Workbench,
  { consumers, processes }: Spreading,
  { seconds, floodEvents, bursts }: OneStreamScale,
): Promise<Figures> {
  const place = await bench.emptyPlace()
  const streams = 1
  await using following = await Crew.open(processes, {
    place,
    streams,
    consumersPerStream: consumers / processes,
    lowPriority: true,
  })
  const connections = await bench.connections()
  const heapKiB = await following.heapKiB()
  await using pacing = startPublisher()
  await pacing.ask('open', { place, streams })

  const follow = async (
    events: number,
  ): Promise<{ redisCpuUs: number; p50Ms: number; p99Ms: number; cpuMs: number }> => {
    await following.begin()
    const beforeMs = await bench.serverCpuMs()
    await pacing.ask('paced', { perSecond: PER_SECOND, events, atOnce: 1 })
    const { p50Ms, p99Ms, cpuMs } = await following.delivered(events)
    const redisCpuUs = (((await bench.serverCpuMs()) - beforeMs) / events) * 1_000
    return { redisCpuUs, p50Ms, p99Ms, cpuMs }
  }

  await follow(PER_SECOND)
  const events = PER_SECOND * seconds
  const { cpuMs, ...steady } = await follow(events)

  await using flooding = startPublisher()
  await flooding.ask('open', { place, streams })
  const [flood] = await Promise.all([flooding.ask('flood', floodEvents), follow(PER_SECOND * 2)])

  const burstsPerSecond: number[] = []
  for (let i = 0; i < bursts; i++) {
    await following.begin()
    const { elapsedMs } = await flooding.ask('burst', BURST_EVENTS)
    await following.delivered(BURST_EVENTS)
    burstsPerSecond.push((BURST_EVENTS / elapsedMs) * 1_000)
  }
  return {
    connections,
    heapKiB,
    ...steady,
    deliveryCpuUs: (cpuMs / (events * consumers)) * 1_000,
    publishPerSecond: (floodEvents / flood.elapsedMs) * 1_000,
    burstPerSecond: median(burstsPerSecond),
  }
}
