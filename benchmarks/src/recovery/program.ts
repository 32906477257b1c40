import type { Place } from '../harness/workbench.ts'

export interface FollowTask {
  readonly place: Place
  /** Gets a record of three numbers for each handled event: its sequence, and when it was sent and handled, in µs. */
  readonly journal: string
  /** A Consumer, or a member of a group whose handlers take a while. */
  readonly as: 'consumer' | 'member'
  readonly leaseMs: number
  /** False for a process that stands for one on another host. */
  readonly sameHostTakeover: boolean
}

/** A process that handles events. */
export type FollowerProgram = {
  /** Resolves when it holds its lease, or stands by. */
  readonly open: (task: FollowTask) => Promise<void>
}

export interface SendSteadilyTask {
  readonly place: Place
  readonly perSecond: number
  readonly firstSequence: number
  /** Gets a record of two numbers for each accepted event: its sequence, and when it was sent, in µs. */
  readonly journal: string
  /** Where events are kept while Redis is away; without it they wait. */
  readonly spool?: string
}

/** A process that publishes. */
export type SteadySenderProgram = {
  readonly begin: (task: SendSteadilyTask) => Promise<void>
  /** How many events were accepted on disk so far. */
  readonly spooled: (nothing: null) => number
  /** Resolves when everything that was sent has been accepted. */
  readonly stop: (nothing: null) => Promise<void>
}
