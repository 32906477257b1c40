import type { Place } from '../harness/workbench.ts'
import type { Lap } from '../load/stopwatch.ts'

/** A process that stays for many slices, so that only the first ones are measured while it is compiled. */
export type SliceProgram = {
  readonly open: (place: Place) => Promise<void>
  /**
   * Publishes so many events, or consumes as many: the whole stream from its beginning, each time under
   * a name of its own.
   */
  readonly slice: (events: number) => Promise<Lap>
}
