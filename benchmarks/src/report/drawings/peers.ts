import type { Report } from '../../harness/report.ts'
import type { Plot } from '../plots/plot.ts'
import { bars } from './bars.ts'

/** What is measured of each library, in which part of its run. */
const comparisons: readonly {
  readonly title: string
  readonly part: 'flow' | 'latency' | 'recovery'
  readonly figure: string
  readonly unit: string
}[] = [
  { title: 'Publish, handle, settle', part: 'flow', figure: 'perSecond', unit: '/s' },
  { title: 'p99 at 250 events a second', part: 'latency', figure: 'p99Ms', unit: 'ms' },
  { title: 'CPU of clients and broker, each event', part: 'flow', figure: 'cpuUs', unit: 'µs' },
  { title: 'Memory of both clients', part: 'flow', figure: 'clientsMemoryMiB', unit: 'MiB' },
  { title: 'Memory of the broker', part: 'flow', figure: 'brokerMemoryMiB', unit: 'MiB' },
  {
    title: 'After the broker was killed, from its return',
    part: 'recovery',
    figure: 'recoveredMs',
    unit: 'ms',
  },
]

export function peersPlots(result: Report): Plot[] {
  return comparisons.flatMap(({ title, part, figure, unit }) =>
    bars(result, {
      title,
      figure,
      unit,
      shows: (variant) => variant.endsWith(`_${part}`),
      nameOf: (variant) => variant.slice(0, -`_${part}`.length),
      isOurs: (variant) => variant.startsWith('millrace'),
    }),
  )
}
