import type { ProducerOptions } from '@millrace/runtime'
import type { Place } from '../harness/workbench.ts'

/** How many calls of `publish` are under way at any time. */
export const CALLS_UNDER_WAY = 64

export interface PublishTask {
  readonly place: Place
  readonly producer: ProducerOptions
  /** Where answers are written down, for a process that is going to be killed. */
  readonly journal?: string
}

export interface Confirmed {
  readonly events: number
  readonly perSecond: number
}

/** Publishes as fast as answers come, and remembers what was answered. */
export type DurabilityProgram = {
  readonly begin: (task: PublishTask) => Promise<void>
  /** Resolves once Redis is gone and everything that it had answered has arrived; nothing is published any more. */
  readonly cutOff: (nothing: null) => Promise<Confirmed>
  /** How many of the answered events are not there. */
  readonly missingAt: (place: Place) => Promise<number>
  /** Instead of `begin`: publishes one event behind whatever an earlier process has left, and closes. */
  readonly follow: (task: PublishTask) => Promise<void>
}
