import type { Report } from '../../harness/report.ts'
import type { LinePlot, Plot } from '../plots/plot.ts'
import { bars } from './bars.ts'
import { measured } from './measured.ts'

/** `consumers_120`: in one process. `consumers_120_in_12`: spread over twelve. */
const VARIANT = /^consumers_(\d+)(?:_in_(\d+))?$/

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
  return [
    ...curves.flatMap((curve) => curveOf(result, curve)),
    ...bars(result, {
      title: 'p99 of 120 consumers in 12 processes, 200 events a second',
      figure: 'p99Ms',
      unit: 'ms',
      shows: (variant) => variant.startsWith('spread_120_'),
      nameOf: (variant) => variant.slice('spread_120_'.length),
      isOurs: () => true,
    }),
  ]
}

function curveOf(result: Report, { title, figure, unit }: (typeof curves)[number]): LinePlot[] {
  const lines = new Map<number, [number, number][]>()
  for (const { variant, value } of measured(result, figure)) {
    const [, consumers, spreadOver = '1'] = VARIANT.exec(variant) ?? []
    if (consumers === undefined) continue
    const processes = Number(spreadOver)
    lines.set(processes, [...(lines.get(processes) ?? []), [Number(consumers), value]])
  }
  if (lines.size === 0) return []
  return [
    {
      kind: 'lines',
      title,
      x: { label: 'consumers of one stream', scale: 'log' },
      y: { label: unit, scale: 'linear' },
      lines: [...lines]
        .toSorted(([a], [b]) => a - b)
        .map(([processes, points]) => ({
          name: processes === 1 ? 'in one process' : `in ${processes} processes`,
          points: points.toSorted(([a], [b]) => a - b),
        })),
    },
  ]
}
