import type { Report } from '../../harness/report.ts'
import { median } from '../../harness/statistics.ts'

/** A figure of one variant. */
export interface Measured {
  readonly variant: string
  /** The median over the rounds. */
  readonly value: number
  readonly rounds: readonly number[]
}

/** The figure of each variant that measured it, in the order in which they were first run. */
export function measured(result: Report, figure: string): Measured[] {
  const byVariant = new Map<string, number[]>()
  for (const { variant, figures } of result.rounds) {
    const value = figures[figure]
    if (value === undefined || Number.isNaN(value)) continue
    byVariant.set(variant, [...(byVariant.get(variant) ?? []), value])
  }
  return [...byVariant].map(([variant, rounds]) => ({ variant, value: median(rounds), rounds }))
}

/** A name of the results as words. */
export function wordsOf(name: string): string {
  return name.replaceAll('_', ' ')
}
