import type { Variant } from '../harness/plan.ts'
import type { Figures } from '../harness/samples.ts'
import type { Workbench } from '../harness/workbench.ts'
import { startConsumers, startPublisher } from './programs.ts'

const STREAMS = 500
const PER_SECOND = 200

/** One consumer on each of 500 streams, all in one process. */
export function manyStreams(
  bench: Workbench,
  budget: { readonly latencyBudgetMs?: 0 },
  scale: { readonly seconds: number },
  rounds: number,
): Variant {
  return {
    name: budget.latencyBudgetMs === 0 ? 'streams_500_at_once' : 'streams_500_default_budget',
    rounds,
    expectedMs: 3_000 + scale.seconds * 1_000,
    run: () => measure(bench, budget, scale.seconds),
  }
}

async function measure(
  bench: Workbench,
  budget: { readonly latencyBudgetMs?: 0 },
  seconds: number,
): Promise<Figures> {
  const place = await bench.emptyPlace()
  await using following = startConsumers()
  await following.ask('open', { place, streams: STREAMS, consumersPerStream: 1, ...budget })
  const connections = await bench.connections()
  await using pacing = startPublisher()
  await pacing.ask('open', { place, streams: STREAMS })
  const follow = async (events: number): Promise<Figures> => {
    await following.ask('begin', null)
    await pacing.ask('paced', { perSecond: PER_SECOND, events, atOnce: 1 })
    return { ...(await following.ask('delivered', events)) }
  }
  await follow(PER_SECOND)
  return { connections, ...(await follow(PER_SECOND * seconds)) }
}
