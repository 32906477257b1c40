import { figure } from '../../harness/figure.ts'
import { thinned } from '../../harness/thinned.ts'
import type { Axis, Line, LinePlot } from './plot.ts'
import { type Scale, scaleOf } from './scale.ts'
import { element, text, tip } from './svg.ts'

/** As wide as a small phone, so that nothing has to be made smaller there. */
const WIDTH = 360
const HEIGHT = 220
const area = { left: 48, right: 352, top: 12, bottom: 180 }
/** More points than this say no more: each becomes the greatest of its neighbours. */
const MOST_POINTS = 150

export function lineChart(plot: LinePlot): string {
  const points = plot.lines.flatMap((line) => line.points)
  const limits = plot.limit === undefined ? [] : [plot.limit]
  const xs = points.map(([x]) => x)
  const ys = [...points.map(([, y]) => y), ...limits]
  const x = scaleOf(plot.x.scale, xs, { ends: 'values' })
  const y = scaleOf(plot.y.scale, ys)
  return element(
    'svg',
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': plot.title },
    ...yAxis(plot.y, y),
    ...xAxis(plot.x, x),
    ...limits.map((limit) => limitLine(limit, y)),
    ...plot.lines.map((line, index) => lineOf(line, index, plot, x, y)),
  )
}

function lineOf({ name, points }: Line, index: number, plot: LinePlot, x: Scale, y: Scale): string {
  const shown = thinned(points, MOST_POINTS)
  const places = shown.map(([px, py]) => [left(x.at(px)), top(y.at(py))] as const)
  const path = places.map(
    ([px, py], n) => `${n === 0 ? 'M' : 'L'}${px.toFixed(1)} ${py.toFixed(1)}`,
  )
  const hasDots = shown.length <= 20
  return element(
    'g',
    { class: `series s${index + 1}` },
    element('path', { class: 'line', d: path.join('') }),
    ...places.map(([cx, cy], n) => {
      const [px = 0, py = 0] = shown[n] ?? []
      const where = `${name}: ${tickText(plot.x, px)} ${plot.x.label}, ${tickText(plot.y, py)} ${plot.y.label}`
      return hasDots
        ? element('circle', { cx, cy, r: 3, class: 'dot' }, tip(where))
        : element('circle', { cx, cy, r: 4, class: 'hit' }, tip(where))
    }),
  )
}

function yAxis(axis: Axis, scale: Scale): string[] {
  return [
    ...scale.ticks.map((tick) => {
      const y = top(scale.at(tick))
      return (
        element('line', { class: 'grid', x1: area.left, x2: area.right, y1: y, y2: y }) +
        text(area.left - 5, y + 4, tickText(axis, tick), { 'text-anchor': 'end' })
      )
    }),
  ]
}

function xAxis(axis: Axis, scale: Scale): string[] {
  return [
    element('line', {
      class: 'axis',
      x1: area.left,
      x2: area.right,
      y1: area.bottom,
      y2: area.bottom,
    }),
    ...scale.ticks.map((tick) =>
      text(left(scale.at(tick)), area.bottom + 15, tickText(axis, tick), {
        'text-anchor': scale.at(tick) > 0.95 ? 'end' : 'middle',
      }),
    ),
    text((area.left + area.right) / 2, HEIGHT - 6, axis.label, { 'text-anchor': 'middle' }),
  ]
}

function limitLine(limit: number, scale: Scale): string {
  const y = top(scale.at(limit))
  return element(
    'g',
    { class: 'limit' },
    element('line', { x1: area.left, x2: area.right, y1: y, y2: y }),
    text(area.right, y - 4, `limit ${figure(limit)}`, { 'text-anchor': 'end' }),
  )
}

function tickText(axis: Axis, value: number): string {
  if (axis.scale === 'nines') return `${figure(value * 100)} %`
  return value >= 10_000 ? `${figure(value / 1_000)}k` : figure(value)
}

function left(share: number): number {
  return area.left + share * (area.right - area.left)
}

function top(share: number): number {
  return area.bottom - share * (area.bottom - area.top)
}
