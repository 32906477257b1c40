import type { Place } from '../harness/workbench.ts'
import type { Lap } from '../load/stopwatch.ts'

/** Who looks at what is consumed. */
export type Recording = 'none' | 'open-telemetry' | 'prometheus' | 'traces'

export interface ConsumeTask {
  readonly place: Place
  readonly by: 'consumer' | 'group'
  readonly recording: Recording
  /** Events before the clock starts, so that no variant is measured while it is being compiled. */
  readonly warmUp: number
  readonly measured: number
}

/** What the program of this benchmark is asked. */
export type ConsumeProgram = {
  /** Takes everything that was published, and measures it. */
  readonly consume: (task: ConsumeTask) => Promise<Lap>
}
