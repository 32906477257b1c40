/** A figure over time. */
export interface Series {
  readonly name: string
  readonly unit: string
  /** What it may be at most, if anything. */
  readonly bound?: number
  /** Seconds since the beginning, and the value. */
  readonly points: readonly (readonly [seconds: number, value: number])[]
}

const WIDTH = 72
const HEIGHT = 6
/** From empty to full. */
const EIGHTHS = ' ▁▂▃▄▅▆▇█'

/** The series as text: each column is the greatest value of its time. */
export function plot({ name, unit, bound, points }: Series): string {
  const end = Math.max(...points.map(([seconds]) => seconds), 1)
  const columns = Array.from({ length: WIDTH }, () => Number.NaN)
  for (const [seconds, value] of points) {
    const at = Math.min(Math.floor((seconds / end) * WIDTH), WIDTH - 1)
    const before = columns[at] ?? Number.NaN
    columns[at] = Number.isNaN(before) ? value : Math.max(before, value)
  }
  fillGaps(columns)
  const most = Math.max(...columns, 0)
  const top = most === 0 ? 1 : most
  const label = Math.max(short(most).length, 1)
  const rows = Array.from({ length: HEIGHT }, (_, row) => {
    const cells = columns.map((value) => cellAt(value / top, HEIGHT - 1 - row)).join('')
    const axis = row === 0 ? short(most) : row === HEIGHT - 1 ? '0' : ''
    return `${axis.padStart(label)} │${cells.trimEnd()}`
  })
  const limit = bound === undefined ? '' : `, at most ${short(bound)}`
  const times = `0 s${`${Math.round(end)} s`.padStart(WIDTH - 3)}`
  return [
    `${name} (${unit}; greatest ${short(most)}${limit})`,
    ...rows,
    `${' '.repeat(label)} └${'─'.repeat(WIDTH)}`,
    `${' '.repeat(label)}  ${times}`,
  ].join('\n')
}

/** Where no sample falls into a column, the one before holds. */
function fillGaps(columns: number[]): void {
  let last = 0
  for (const [at, value] of columns.entries()) {
    if (Number.isNaN(value)) columns[at] = last
    else last = value
  }
}

/** What of a column of this share stands in the row, counted from below. */
function cellAt(share: number, row: number): string {
  const eighths = Math.round(share * HEIGHT * 8) - row * 8
  return EIGHTHS[Math.min(Math.max(eighths, 0), 8)] ?? ' '
}

function short(value: number): string {
  return value >= 100 || Number.isInteger(value)
    ? Math.round(value).toLocaleString('en')
    : String(Number(value.toPrecision(3)))
}
