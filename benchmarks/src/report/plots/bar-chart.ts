import { figure } from '../../harness/figure.ts'
import type { Bar, BarPlot } from './plot.ts'
import { scaleOf } from './scale.ts'
import { element, text, tip } from './svg.ts'

const WIDTH = 360
/** The name stands above its bar, so that long names have room on a phone. */
const ROW = 34
const BAR = 12
/** What a character of the figure behind a bar takes at most. */
const CHARACTER = 7
const FOOT = 6

export function barChart(plot: BarPlot): string {
  const limits = plot.limits ?? []
  const greatest = Math.max(...plot.bars.map(({ value }) => value), 0)
  // A limit far beyond all bars would make them too short to compare.
  const shownLimits = limits.filter(({ value }) => value <= greatest * 4)
  const head = shownLimits.length > 0 ? 16 : 2
  const scale = scaleOf(
    'linear',
    [
      0,
      ...plot.bars.flatMap(({ value, rounds }) => [value, ...rounds]),
      ...shownLimits.map(({ value }) => value),
    ],
    { wanted: [0] },
  )
  const longest = Math.max(...plot.bars.map(({ value }) => written(value, plot.unit).length))
  const at = (value: number): number => scale.at(value) * (WIDTH - 8 - longest * CHARACTER)
  const height = head + plot.bars.length * ROW + FOOT
  return element(
    'svg',
    { viewBox: `0 0 ${WIDTH} ${height}`, role: 'img', 'aria-label': plot.title },
    ...shownLimits.map(({ value, label }) => limitLine(at(value), label, head, height)),
    ...plot.bars.map((bar, index) => barOf(bar, plot.unit, at, head + index * ROW)),
  )
}

function barOf(bar: Bar, unit: string, at: (value: number) => number, y: number): string {
  const { name, value, rounds, isOurs } = bar
  const end = at(value)
  const middle = y + 16 + BAR / 2
  const furthest = Math.max(end, ...rounds.map((one) => at(one) + 3))
  return element(
    'g',
    { class: isOurs ? 'bar ours' : 'bar' },
    tip(
      `${name}: ${written(value, unit)}${rounds.length > 1 ? `; rounds: ${rounds.map(figure).join(', ')}` : ''}`,
    ),
    text(0, y + 12, name),
    element('path', { class: 'fill', d: roundEnded(end, y + 16) }),
    ...rounds.map((one) => element('circle', { class: 'round', cx: at(one), cy: middle, r: 2.5 })),
    text(furthest + 5, middle + 4, written(value, unit), { class: 'strong' }),
  )
}

/** Square where it begins, round at the data's end. */
function roundEnded(end: number, y: number): string {
  const radius = Math.min(4, end)
  return `M0 ${y}H${(end - radius).toFixed(1)}q${radius} 0 ${radius} ${radius}V${y + BAR - radius}q0 ${radius} ${-radius} ${radius}H0Z`
}

function limitLine(x: number, label: string, head: number, height: number): string {
  const isRight = x > WIDTH / 2
  return element(
    'g',
    { class: 'limit' },
    element('line', { x1: x, x2: x, y1: head - 4, y2: height }),
    text(isRight ? x + 3 : x - 3, 11, label, { 'text-anchor': isRight ? 'end' : 'start' }),
  )
}

function written(value: number, unit: string): string {
  return `${figure(value)} ${unit}`.trimEnd()
}
