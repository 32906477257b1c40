import type { Report } from '../../harness/report.ts'
import type { Plot } from '../plots/plot.ts'
import { bars } from './bars.ts'

/** Those that do the same work beside one another. */
const comparisons: readonly { readonly title: string; readonly variants: readonly string[] }[] = [
  { title: 'Publishing', variants: ['publish', 'publish_singly', 'publish_floor'] },
  { title: 'Catching up', variants: ['consume', 'group', 'consume_floor'] },
  { title: 'Catching up as a group, beside BullMQ', variants: ['group_like_bullmq', 'bullmq'] },
]

export function throughputPlots(result: Report): Plot[] {
  return comparisons.flatMap(({ title, variants }) =>
    bars(result, {
      title,
      figure: 'perSecond',
      unit: '/s',
      shows: (variant) => variants.includes(variant),
      isOurs: (variant) => !variant.endsWith('_floor') && variant !== 'bullmq',
    }),
  )
}
