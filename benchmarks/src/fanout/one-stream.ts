import type { Variant } from '../harness/plan.ts'
import type { Figures } from '../harness/samples.ts'
import { median } from '../harness/statistics.ts'
import type { Workbench } from '../harness/workbench.ts'
import { startConsumers, startPublisher } from './programs.ts'

export interface OneStreamScale {
  readonly seconds: number
  readonly floodEvents: number
  readonly bursts: number
}

/** So many a second that the thousand consumers of one process can follow them on a part of a core. */
const PER_SECOND = 500
const BURST_EVENTS = 1_000

/** Any number of consumers on one stream, all in one process. */
export function oneStream(
  bench: Workbench,
  consumers: number,
  scale: OneStreamScale,
  rounds: number,
): Variant {
  return {
    name: `consumers_${consumers}`,
    rounds,
    expectedMs: 4_500 + scale.seconds * 1_000 + scale.bursts * (50 + consumers * 0.5),
    run: () => measure(bench, consumers, scale),
  }
}

async function measure(
  bench: Workbench,
  consumers: number,
  { seconds, floodEvents, bursts }: OneStreamScale,
): Promise<Figures> {
  const place = await bench.emptyPlace()
  await using following = startConsumers()
  const streams = 1
  await following.ask('open', { place, streams, consumersPerStream: consumers, lowPriority: true })
  const connections = await bench.connections()
  const { heapKiB } = await following.ask('memory', null)
  await using pacing = startPublisher()
  await pacing.ask('open', { place, streams })

  const follow = async (
    events: number,
  ): Promise<{ redisCpuUs: number; p50Ms: number; p99Ms: number; cpuMs: number }> => {
    await following.ask('begin', null)
    const beforeMs = await bench.serverCpuMs()
    await pacing.ask('paced', { perSecond: PER_SECOND, events, atOnce: 1 })
    const { p50Ms, p99Ms, cpuMs } = await following.ask('delivered', events * consumers)
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
    await following.ask('begin', null)
    const { elapsedMs } = await flooding.ask('burst', BURST_EVENTS)
    await following.ask('delivered', BURST_EVENTS * consumers)
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
