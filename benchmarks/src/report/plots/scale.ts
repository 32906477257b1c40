import type { ScaleKind } from './plot.ts'

/** Where values come to lie on an axis. */
export interface Scale {
  readonly ticks: readonly number[]
  /** From 0, the beginning of the axis, to 1. */
  at(value: number): number
}

export interface ScaleOptions {
  readonly ends?: 'round' | 'values'
  /** Where something has to be written; otherwise where it is round. */
  readonly wanted?: readonly number[]
}

/** A scale on which all values have a place; it ends at round values, or where the values end. */
export function scaleOf(
  kind: ScaleKind,
  values: readonly number[],
  { ends = 'round', wanted }: ScaleOptions = {},
): Scale {
  const transform = transforms[kind]
  const placeable = values.filter((value) => Number.isFinite(transform(value)))
  const low = Math.min(...placeable)
  const high = Math.max(...placeable)
  const round = wanted ?? ticksOf(kind, low, high)
  const ticks = ends === 'round' ? round : round.filter((tick) => tick >= low && tick <= high)
  const all = [...placeable, ...ticks].map(transform)
  const from = Math.min(...all)
  const span = Math.max(...all) - from
  return {
    ticks,
    at: (value) => (span === 0 ? 0.5 : Math.min(Math.max((transform(value) - from) / span, 0), 1)),
  }
}

const transforms: Readonly<Record<ScaleKind, (value: number) => number>> = {
  linear: (value) => value,
  log: (value) => Math.log10(value),
  nines: (share) => -Math.log10(1 - share),
}

const ABOUT = 4

function ticksOf(kind: ScaleKind, low: number, high: number): number[] {
  switch (kind) {
    case 'linear':
      return linearTicks(Math.min(low, 0), high)
    case 'log':
      return logTicks(low, high)
    case 'nines':
      return [0.5, 0.9, 0.99, 0.999]
    default: {
      const never: never = kind
      return never
    }
  }
}

/** From 0, because lengths and areas that begin elsewhere mislead. */
function linearTicks(low: number, high: number): number[] {
  if (high <= low) return [low, low + 1]
  const rough = (high - low) / ABOUT
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10) * power
  const first = Math.floor(low / step)
  const last = Math.ceil(high / step)
  return Array.from({ length: last - first + 1 }, (_, n) =>
    Number(((first + n) * step).toPrecision(6)),
  )
}

function logTicks(low: number, high: number): number[] {
  const first = Math.floor(Math.log10(low))
  const last = Math.max(Math.ceil(Math.log10(high)), first + 1)
  return Array.from({ length: last - first + 1 }, (_, n) =>
    Number((10 ** (first + n)).toPrecision(6)),
  )
}
