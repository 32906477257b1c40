import type { Place } from '../harness/workbench.ts'
import type { Lap } from '../load/stopwatch.ts'

/**
 * What the stream keeps: everything for ever, the defaults (24 hours, so that nothing has to go while it is
 * measured), or so little that events go all the time.
 */
export type Keeps = 'everything' | 'little' | 'the-default'

export interface RetentionTask {
  readonly place: Place
  readonly keeps: Keeps
  readonly warmUp: number
  readonly measured: number
}

/** What the program of this benchmark is asked. */
export type RetentionProgram = {
  readonly publish: (task: RetentionTask) => Promise<Lap>
}
