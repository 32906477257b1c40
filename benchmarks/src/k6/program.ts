import type { Place } from '../harness/workbench.ts'

/** The process that serves HTTP. */
export type ServingProgram = {
  /** Resolves with where it listens. */
  readonly listen: (task: {
    readonly place: Place
    /** The file of the old API's table. */
    readonly database: string
  }) => Promise<{ readonly url: string }>
}
