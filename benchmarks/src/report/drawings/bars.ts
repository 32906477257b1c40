import type { Report } from '../../harness/report.ts'
import type { BarPlot } from '../plots/plot.ts'
import { measured, wordsOf } from './measured.ts'

export interface BarsTask {
  readonly title: string
  readonly figure: string
  readonly unit: string
  /** What the figure is multiplied with to be in that unit. @defaultValue 1 */
  readonly factor?: number
  /** Which variants are shown; all when left out. */
  readonly shows?: (variant: string) => boolean
  /** What of the variant's name tells it from the others. @defaultValue all of it */
  readonly nameOf?: (variant: string) => string
  readonly isOurs: (variant: string) => boolean
  readonly limits?: BarPlot['limits']
}

/** A figure of the variants beside one another; nothing when none has measured it. */
export function bars(result: Report, task: BarsTask): BarPlot[] {
  const { title, figure, unit, factor = 1, isOurs, limits } = task
  const { shows = () => true, nameOf = (variant) => variant } = task
  const found = measured(result, figure).filter(({ variant }) => shows(variant))
  if (found.length === 0) return []
  return [
    {
      kind: 'bars',
      title,
      unit,
      bars: found.map(({ variant, value, rounds }) => ({
        name: wordsOf(nameOf(variant)),
        value: value * factor,
        rounds: rounds.length > 1 ? rounds.map((one) => one * factor) : [],
        isOurs: isOurs(variant),
      })),
      ...(limits === undefined ? {} : { limits }),
    },
  ]
}
