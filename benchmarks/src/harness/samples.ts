import { median } from './statistics.ts'

/** What one run of one variant measured. */
export type Figures = Readonly<Record<string, number>>

export interface Sample {
  /** From 1. */
  readonly round: number
  readonly variant: string
  readonly figures: Figures
}

/** The samples of all rounds, and what is read off them. */
export class Samples {
  readonly #all: Sample[] = []

  get all(): readonly Sample[] {
    return this.#all
  }

  add(sample: Sample): void {
    this.#all.push(sample)
  }

  /** The median over the rounds. */
  median(variant: string, figure: string): number {
    return median(this.#of(variant).map((sample) => figureOf(sample, figure)))
  }

  /** The greatest of all rounds: for figures that must hold each time, such as a number of connections. */
  greatest(variant: string, figure: string): number {
    return Math.max(...this.#of(variant).map((sample) => figureOf(sample, figure)))
  }

  /**
   * The median over the rounds of one variant's figure divided by another's of the same round: both
   * were taken within seconds, so that a machine that becomes slower half-way does not move the ratio.
   */
  ratio(figure: string, variant: string, against: string): number {
    const others = this.#of(against)
    const ratios = this.#of(variant).flatMap((sample) => {
      const other = others.find(({ round }) => round === sample.round)
      return other === undefined ? [] : [figureOf(sample, figure) / figureOf(other, figure)]
    })
    if (ratios.length === 0) throw new Error(`${variant} and ${against} share no round`)
    return median(ratios)
  }

  #of(variant: string): readonly Sample[] {
    const samples = this.#all.filter((sample) => sample.variant === variant)
    if (samples.length === 0) throw new Error(`the variant ${variant} was not measured`)
    return samples
  }
}

function figureOf(sample: Sample, figure: string): number {
  const value = sample.figures[figure]
  if (value === undefined)
    throw new Error(`the variant ${sample.variant} did not measure ${figure}`)
  return value
}
