import type { Place } from '../harness/workbench.ts'
import type { PolicyName } from './policies.ts'

export interface ProduceTask {
  readonly place: Place
  readonly policy: PolicyName
  /** Where a spool may be put. */
  readonly directory: string
}

export interface Produced {
  /** Events whose publish was answered with success, wherever they are. */
  readonly accepted: number
  /** How many of those were answered from disk. */
  readonly spooled: number
  /** Events that were refused for the time being, as often as that happened. */
  readonly refused: number
  /** Calls that failed otherwise. */
  readonly failed: number
  readonly residentBytes: number
}

/** A producer at full speed. */
export type ProducerProgram = {
  readonly begin: (task: ProduceTask) => Promise<void>
  readonly look: (nothing: null) => Produced
  /** Begins nothing more; resolves when everything that was begun has come to its end. */
  readonly halt: (nothing: null) => Promise<Produced>
  readonly end: (nothing: null) => Promise<void>
}

export interface HandleTask {
  readonly place: Place
  readonly policy: PolicyName
  readonly perSecond: number
}

export interface HandledSoFar {
  /** Different events. */
  readonly handled: number
  /** Further deliveries of events that had been handled before. */
  readonly again: number
  /** How often the member lost its lease, which on a busy machine is one cause of those. */
  readonly leasesLost: number
  /** Events whose acknowledgement Redis has confirmed while they were still pending. */
  readonly acknowledged: number
  /** What the group was told to have lost to retention, by the stream's own books. */
  readonly expired: number
  /** What is in the stream and not processed. */
  readonly waiting: number
  readonly residentBytes: number
}

/** A group with one member whose handlers finish so many events a second. */
export type GroupProgram = {
  readonly begin: (task: HandleTask) => Promise<void>
  readonly look: (nothing: null) => Promise<HandledSoFar>
  /** From now on it is as fast as it can. */
  readonly letGo: (nothing: null) => void
  readonly end: (nothing: null) => Promise<void>
}
