import type { Report } from '../../harness/report.ts'
import type { BarPlot } from '../plots/plot.ts'

const clients: readonly {
  readonly name: string
  readonly metric: string
  readonly isOurs: boolean
}[] = [
  { name: 'long polls of a feed', metric: 'event_latency', isOurs: true },
  { name: 'the old API, asked every second', metric: 'old_event_latency', isOurs: false },
]

/** How late an event is at clients over HTTP; k6 tells no rounds, only what came out. */
export function k6Plots({ values }: Report): BarPlot[] {
  return ['p50', 'p99'].flatMap((percentile): BarPlot[] => {
    const bars = clients.flatMap(({ name, metric, isOurs }) => {
      const value = values[`${metric}_${percentile}Ms`]
      return value === undefined ? [] : [{ name, value, rounds: [], isOurs }]
    })
    const title = `From publish to the client over HTTP: ${percentile}`
    return bars.length === 0 ? [] : [{ kind: 'bars', title, unit: 'ms', bars }]
  })
}
