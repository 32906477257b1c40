import type { Figures } from './samples.ts'

/** One way of doing the measured thing. */
export interface Variant {
  readonly name: string
  /** How long one run takes on a usual machine, in milliseconds; only for the time left that is shown. */
  readonly expectedMs: number
  /** In how many of the rounds it takes part. @defaultValue all */
  readonly rounds?: number
  run(): Promise<Figures>
}

export interface Step {
  readonly round: number
  readonly variant: Variant
}

/**
 * All rounds of all variants. Every second round goes through the variants backwards, so that none
 * profits from its place.
 */
export function planRounds(rounds: number, variants: readonly Variant[]): readonly Step[] {
  return Array.from({ length: rounds }, (_, index) => {
    const taking = variants.filter((variant) => index < (variant.rounds ?? rounds))
    const ordered = index % 2 === 0 ? taking : taking.toReversed()
    return ordered.map((variant) => ({ round: index + 1, variant }))
  }).flat()
}

/**
 * How long the rest takes, in milliseconds, if this machine goes on being as much slower or faster
 * than expected as it was so far.
 */
export function remainingMs(steps: readonly Step[], done: number, elapsedMs: number): number {
  const expected = (some: readonly Step[]): number =>
    some.reduce((sum, { variant }) => sum + variant.expectedMs, 0)
  const before = expected(steps.slice(0, done))
  return expected(steps.slice(done)) * (before > 0 ? elapsedMs / before : 1)
}
