import type { Report } from '../../harness/report.ts'
import type { LinePlot, Plot } from '../plots/plot.ts'
import { measured } from './measured.ts'

/** `consumers_120`: in one process. `consumers_120_in_12`: spread over twelve. */
const VARIANT = /^consumers_(\d+)$/

const curves: readonly {
  readonly title: string
  readonly figure: string
  readonly unit: string
}[] = [
  { title: 'Publishing beside the consumers', figure: 'publishPerSecond', unit: 'events/s' },
  { title: 'CPU of Redis', figure: 'redisCpuUs', unit: 'µs for each event' },
  { title: 'p99 from publish to the handler', figure: 'p99Ms', unit: 'ms' },
  { title: 'CPU of the consumers', figure: 'deliveryCpuUs', unit: 'µs for each delivery' },
]

/** What becomes of the figures as consumers on one stream become more. */
export function fanoutPlots(result: Report): Plot[] {
  return curves.flatMap(({ title, figure, unit }): LinePlot[] => {
    const points = measured(result, figure)
      .flatMap(({ variant, value }): [number, number][] => {
        const consumers = VARIANT.exec(variant)?.[1]
        return consumers === undefined ? [] : [[Number(consumers), value]]
      })
      .toSorted(([a], [b]) => a - b)
    if (points.length === 0) return []
    return [
      {
        kind: 'lines',
        title,
        x: { label: 'consumers in one process', scale: 'log' },
        y: { label: unit, scale: 'linear' },
        lines: [{ name: 'Millrace', points }],
      },
    ]
  })
}
