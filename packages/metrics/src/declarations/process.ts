import { condition } from './condition.ts'
import type { Declaration } from './declaration.ts'
import { delivering } from './delivering.ts'
import { polling } from './polling.ts'
import { producing } from './producing.ts'
import { standing } from './standing.ts'

/** Everything that is measured inside a process. */
export const processMetrics: readonly Declaration[] = [
  ...Object.values(producing),
  ...Object.values(delivering),
  ...Object.values(standing),
  ...Object.values(condition),
  ...Object.values(polling),
]
