import type { Variant } from '../harness/plan.ts'
import type { Figures } from '../harness/samples.ts'
import type { Workbench } from '../harness/workbench.ts'
import { Crew } from './crew.ts'
import { startPublisher } from './programs.ts'

const CONSUMERS = 120
const PROCESSES = 12
const PER_SECOND = 200
/** Not counted: what is measured is a service, and twelve processes compile for long on two cores. */
const WARM_UP_SECONDS = 12

/** 120 consumers of one stream in twelve processes, and how long each event takes to reach them. */
export function spreadLatency(
  bench: Workbench,
  budget: { readonly latencyBudgetMs?: 0 },
  scale: { readonly seconds: number },
  rounds: number,
): Variant {
  return {
    name: budget.latencyBudgetMs === 0 ? 'spread_120_at_once' : 'spread_120_default_budget',
    rounds,
    expectedMs: 7_000 + (WARM_UP_SECONDS + scale.seconds) * 1_000,
    run: () => measure(bench, budget, scale.seconds),
  }
}

async function measure(
  bench: Workbench,
  budget: { readonly latencyBudgetMs?: 0 },
  seconds: number,
): Promise<Figures> {
  const place = await bench.emptyPlace()
  const streams = 1
  const consumersPerStream = CONSUMERS / PROCESSES
  await using following = await Crew.open(PROCESSES, {
    place,
    streams,
    consumersPerStream,
    ...budget,
  })
  const connections = await bench.connections()
  await using pacing = startPublisher()
  await pacing.ask('open', { place, streams })
  const follow = async (events: number): Promise<Figures> => {
    await following.begin()
    await pacing.ask('paced', { perSecond: PER_SECOND, events, atOnce: 1 })
    return { ...(await following.delivered(events)) }
  }
  await follow(PER_SECOND * WARM_UP_SECONDS)
  return { connections, ...(await follow(PER_SECOND * seconds)) }
}
