import type { Sample } from '../harness/samples.ts'
import type { Gate } from './gates.ts'

/**
 * The gate's ratio, from the least disturbed round of either side. Whatever else a machine does only adds
 * to what a round takes, by a quarter and more on a busy one, so the best of several rounds comes within
 * a few percent of a quiet machine's figure where their median does not. More rounds bring it nearer to
 * the truth from either side, so that measuring again cannot talk a regression away.
 */
export function estimate(samples: readonly Sample[], gate: Gate): number {
  const best = gate.direction === 'at most' ? Math.min : Math.max
  const of = (name: string): number => {
    const figures = samples
      .filter(({ variant }) => variant === name)
      .map((sample) => sample.figures[gate.figure] ?? Number.NaN)
    return figures.length === 0 ? Number.NaN : best(...figures)
  }
  return of(gate.variant) / of(gate.floor)
}

export function holds(gate: Gate, ratio: number, quick: boolean): boolean {
  const limit = quick ? gate.quick : gate.limit
  // Written so that a ratio that is not a number does not hold.
  return gate.direction === 'at most' ? ratio <= limit : ratio >= limit
}
