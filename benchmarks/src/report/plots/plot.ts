/** What is to be drawn; how is the business of the three drawers. */
export type Plot = LinePlot | BarPlot | HeatPlot

/** `nines` gives each further nine of a percentile as much room as the one before. */
export type ScaleKind = 'linear' | 'log' | 'nines'

export interface Axis {
  readonly label: string
  readonly scale: ScaleKind
}

export interface Line {
  readonly name: string
  readonly points: readonly (readonly [x: number, y: number])[]
}

export interface LinePlot {
  readonly kind: 'lines'
  readonly title: string
  readonly x: Axis
  readonly y: Axis
  readonly lines: readonly Line[]
  /** What the value may be at most, or has to be at least. */
  readonly limit?: number
}

export interface Bar {
  readonly name: string
  readonly value: number
  /** What single rounds measured. */
  readonly rounds: readonly number[]
  /** Ours stand out from what they are compared with. */
  readonly isOurs: boolean
}

export interface BarPlot {
  readonly kind: 'bars'
  readonly title: string
  readonly unit: string
  readonly bars: readonly Bar[]
  readonly limits?: readonly { readonly value: number; readonly label: string }[]
}

/** Ratios: below 1 ours is cheaper, above it the other one. */
export interface HeatPlot {
  readonly kind: 'heat'
  readonly title: string
  readonly columns: { readonly label: string; readonly names: readonly string[] }
  readonly rows: { readonly label: string; readonly names: readonly string[] }
  /** By row, then column. */
  readonly cells: readonly (readonly (number | undefined)[])[]
}
