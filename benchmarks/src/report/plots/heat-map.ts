import { figure } from '../../harness/figure.ts'
import type { HeatPlot } from './plot.ts'
import { element, text, tip } from './svg.ts'

const WIDTH = 360
const LEFT = 66
const HEAD = 34
const ROW = 32
/** The surface shows between cells. */
const BETWEEN = 2

export function heatMap({ title, columns, rows, cells }: HeatPlot): string {
  const width = (WIDTH - LEFT) / columns.names.length
  const height = HEAD + rows.names.length * ROW
  return element(
    'svg',
    { viewBox: `0 0 ${WIDTH} ${height}`, role: 'img', 'aria-label': title },
    text(WIDTH, 12, columns.label, { 'text-anchor': 'end' }),
    text(0, 12, rows.label),
    ...columns.names.map((name, column) =>
      text(LEFT + (column + 0.5) * width, HEAD - 6, name, { 'text-anchor': 'middle' }),
    ),
    ...rows.names.map((name, row) =>
      text(LEFT - 6, HEAD + row * ROW + 20, name, { 'text-anchor': 'end' }),
    ),
    ...cells.flatMap((line, row) =>
      line.map((ratio, column) => {
        const x = LEFT + column * width
        const y = HEAD + row * ROW
        const where = `${rows.label} ${rows.names[row] ?? ''}, ${columns.names[column] ?? ''} ${columns.label}`
        return element(
          'g',
          { class: `cell ${stepOf(ratio)}` },
          tip(`${where}: ${ratio === undefined ? 'not measured' : `${figure(ratio)} ×`}`),
          element('rect', { x, y, width: width - BETWEEN, height: ROW - BETWEEN, rx: 3 }),
          text(x + (width - BETWEEN) / 2, y + 19, ratio === undefined ? '–' : short(ratio), {
            'text-anchor': 'middle',
          }),
        )
      }),
    ),
  )
}

/** Equal steps of the logarithm on both sides of 1. */
function stepOf(ratio: number | undefined): string {
  if (ratio === undefined || Number.isNaN(ratio)) return 'none'
  if (ratio <= 0.25) return 'less3'
  if (ratio <= 0.5) return 'less2'
  if (ratio <= 0.9) return 'less1'
  if (ratio <= 1.1) return 'even'
  if (ratio <= 2) return 'more1'
  if (ratio <= 4) return 'more2'
  return 'more3'
}

function short(ratio: number): string {
  return ratio >= 10 ? figure(Math.round(ratio)) : ratio.toFixed(2)
}
