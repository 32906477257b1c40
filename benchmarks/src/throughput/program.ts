import type { Place } from '../harness/workbench.ts'
import type { Lap } from '../load/stopwatch.ts'

export interface Task {
  readonly place: Place
  /** Events before the clock starts, so that no variant is measured while it is being compiled. */
  readonly warmUp: number
  readonly measured: number
}

/** What the programs of this benchmark are asked. Most can do only one of the two. */
export type ThroughputProgram = {
  /** Publishes, and measures it. */
  readonly publish: (task: Task) => Promise<Lap>
  /** Takes everything that was published, and measures it. */
  readonly consume: (task: Task) => Promise<Lap>
}
