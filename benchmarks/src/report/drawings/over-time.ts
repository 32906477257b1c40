import type { Series } from '../../harness/plot.ts'
import type { Report } from '../../harness/report.ts'
import type { LinePlot } from '../plots/plot.ts'
import { wordsOf } from './measured.ts'

/** Series of one figure, `<whose>: <figure>`, together; each bound is drawn only where all share it. */
export function overTime(result: Report): LinePlot[] {
  const together = new Map<string, Series[]>()
  for (const series of result.series ?? []) {
    const figure = splitName(series.name).figure
    together.set(figure, [...(together.get(figure) ?? []), series])
  }
  return [...together].map(([title, all]) => {
    const plot: LinePlot = {
      kind: 'lines',
      title: wordsOf(title).replace(/^./, (letter) => letter.toUpperCase()),
      x: { label: 'seconds', scale: 'linear' },
      y: { label: all[0]?.unit ?? '', scale: 'linear' },
      lines: all.map(({ name, points }) => ({ name: splitName(name).whose, points })),
    }
    const [limit, ...others] = new Set(all.map(({ bound }) => bound))
    return limit === undefined || others.length > 0 ? plot : withLimit(plot, limit)
  })
}

function withLimit(plot: LinePlot, limit: number): LinePlot {
  return { ...plot, limit }
}

function splitName(name: string): { whose: string; figure: string } {
  const at = name.indexOf(': ')
  return at === -1
    ? { whose: name, figure: name }
    : { whose: name.slice(0, at), figure: name.slice(at + 2) }
}
