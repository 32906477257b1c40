import type { Variant } from '../harness/plan.ts'
import type { Figures } from '../harness/samples.ts'
import type { Place, Workbench } from '../harness/workbench.ts'
import { startConsumers, startPublisher } from './programs.ts'

const PER_SECOND = 200

export interface SlowScale {
  readonly seconds: number
  /** How many events the slow consumer is behind. */
  readonly backlog: number
}

/** A consumer with little to do, alone and beside one that takes 100 ms for each event. */
export function slowNeighbour(bench: Workbench, scale: SlowScale, rounds: number): Variant[] {
  // Filling takes longer than measuring, and the events only have to lie there: once is enough. The
  // consumers of each run have names of their own.
  let filled: Promise<Place> | undefined
  const place = (): Promise<Place> => (filled ??= fill(bench, scale.backlog))
  return [false, true].map((slow) => ({
    name: slow ? 'fast_beside_slow' : 'fast_alone',
    rounds,
    expectedMs: 3_000 + scale.seconds * 1_000 + scale.backlog * 0.003,
    run: async () => measure(await place(), scale, slow),
  }))
}

async function fill(bench: Workbench, events: number): Promise<Place> {
  const place = await bench.emptyPlace()
  await using filling = startPublisher()
  await filling.ask('open', { place, streams: 1 })
  await filling.ask('burst', events)
  return place
}

async function measure(
  place: Place,
  { seconds, backlog }: SlowScale,
  slow: boolean,
): Promise<Figures> {
  await using following = startConsumers()
  await following.ask('open', { place, streams: 1, consumersPerStream: 1, latencyBudgetMs: 0 })
  await using pacing = startPublisher()
  await pacing.ask('open', { place, streams: 1 })
  const follow = async (events: number): Promise<Figures> => {
    await following.ask('begin', null)
    await pacing.ask('paced', { perSecond: PER_SECOND, events, atOnce: 1 })
    const { p50Ms, p99Ms } = await following.ask('delivered', events)
    return { p50Ms, p99Ms }
  }
  await follow(PER_SECOND)
  const before = await following.ask('memory', null)
  if (slow) await following.ask('openSlow', null)
  const figures = await follow(PER_SECOND * seconds)
  const after = await following.ask('memory', null)
  return {
    ...figures,
    heapGrowthKiB: after.heapKiB - before.heapKiB,
    residentKiB: after.residentKiB,
    ...(slow ? { slowIsBehind: backlog - (await following.ask('slowHandled', null)) } : {}),
  }
}
