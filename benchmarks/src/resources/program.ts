import type { Place } from '../harness/workbench.ts'

export interface FollowersTask {
  /** How many consumers or pollers this process holds. */
  readonly followers: number
  readonly place: Place
  /** Of the poll API; only pollers over HTTP need it. */
  readonly apiPort: number
}

/** One process of consumers or pollers. */
export type FollowersProgram = {
  readonly open: (task: FollowersTask) => Promise<void>
  /** From now on polls are this far apart; consumers are not asked. */
  readonly pollEvery: (intervalMs: number) => void
  /** Resolves when all followers of this process together have handled so many events since it began. */
  readonly handled: (events: number) => Promise<void>
}

/** The poll API: one process, with the database in it unless that is PostgreSQL. */
export type PollApiProgram = {
  /** Resolves with the port, and the processes of a database that is not in the API's own. */
  readonly open: (task: { readonly database: string }) => Promise<{
    readonly port: number
    readonly databasePids: readonly number[]
  }>
}

/** A process that publishes or writes rows; its own CPU and memory are on no side. */
export type RatedPublisherProgram = {
  readonly open: (task: { readonly place: Place; readonly database: string }) => Promise<void>
  readonly begin: (perSecond: number) => void
  /** Resolves with how many events were published since it was opened. */
  readonly stop: (nothing: null) => Promise<number>
}
