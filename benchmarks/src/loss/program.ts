import type { Place } from '../harness/workbench.ts'

/** One process's part of the readers. */
export interface HostTask {
  readonly place: Place
  /** Where journals go, each in a file `<reader>.<run>`. */
  readonly directory: string
  /** Different for each start of a process, and greater for a later one. */
  readonly run: number
  /** The names of the Consumers that it holds; nobody else does. */
  readonly consumers: readonly string[]
  /** The names of the ConsumerGroups that it is a member of, as all processes are. */
  readonly groups: readonly string[]
}

export type HostProgram = {
  readonly open: (task: HostTask) => Promise<void>
  /** In the orderly way: what is under way is finished, leases are handed over. */
  readonly close: (nothing: null) => Promise<void>
}

export interface PublishTask {
  readonly place: Place
  readonly events: number
  /** At most so many; fewer when Redis or this machine cannot follow. */
  readonly perSecond: number
}

export type LossPublisherProgram = {
  readonly open: (task: PublishTask) => Promise<void>
  /** Goes on until so many events have been published; nothing is published before it is first called. */
  readonly allow: (events: number) => void
  /** Resolves once so many events have been accepted. */
  readonly accepted: (events: number) => Promise<void>
  /** How many events have not been processed yet, over all readers. */
  readonly behind: (nothing: null) => Promise<number>
}
