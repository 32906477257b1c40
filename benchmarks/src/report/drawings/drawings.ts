import type { Report } from '../../harness/report.ts'
import type { Plot } from '../plots/plot.ts'
import { bars } from './bars.ts'
import { fanoutPlots } from './fanout.ts'
import { k6Plots } from './k6.ts'
import { latencyPlots } from './latency.ts'
import { overTime } from './over-time.ts'
import { peersPlots } from './peers.ts'
import { resourcesPlots } from './resources.ts'
import { throughputPlots } from './throughput.ts'

/** What is drawn of each benchmark, beside whatever it measured over time. */
const drawings: Readonly<Record<string, (result: Report) => Plot[]>> = {
  latency: latencyPlots,
  throughput: throughputPlots,
  fanout: fanoutPlots,
  resources: resourcesPlots,
  peers: peersPlots,
  k6: k6Plots,
  'long-polls': (result) =>
    bars(result, {
      title: 'p99 from publish to the answer of 1,000 waiting polls',
      figure: 'p99Ms',
      unit: 'ms',
      isOurs: (variant) => variant !== 'floor',
    }),
  durability: (result) =>
    bars(result, {
      title: 'Lost of confirmed events in a round, at the median',
      figure: 'lost',
      unit: 'events',
      isOurs: () => true,
    }),
  recovery: (result) =>
    bars(result, {
      title: 'Until events flow again',
      figure: 'resumedMs',
      unit: 's',
      factor: 1 / 1_000,
      isOurs: () => true,
      limits: [{ value: 10, label: 'at most 10 s' }],
    }),
  metrics: (result) =>
    bars(result, {
      title: 'Catching up while being looked at',
      figure: 'perSecond',
      unit: '/s',
      isOurs: () => true,
    }),
  retention: (result) =>
    bars(result, {
      title: 'Publishing with retention at work',
      figure: 'perSecond',
      unit: '/s',
      isOurs: () => true,
    }),
  poison: (result) =>
    bars(result, {
      title: 'p99 of harmless events beside poison',
      figure: 'p99Ms',
      unit: 'ms',
      isOurs: () => true,
    }),
}

export function plotsOf(result: Report): Plot[] {
  return [...(drawings[result.benchmark]?.(result) ?? []), ...overTime(result)]
}
