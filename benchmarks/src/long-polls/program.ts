import type { Place } from '../harness/workbench.ts'

/** The process that answers polls. */
export type AnsweringProgram = {
  /** Resolves with where it listens, once the end of the stream is followed. */
  readonly listen: (task: { readonly place: Place }) => Promise<{ readonly url: string }>
  /** How many polls wait at the moment. */
  readonly waiting: (nothing: null) => Promise<{ readonly polls: number }>
  /** Waits with so many polls itself. Resolves when every one has got every event. */
  readonly pollHere: (task: Omit<PollTask, 'url'>) => Promise<Polled>
  readonly spent: (nothing: null) => Promise<{ readonly cpuMs: number }>
}

interface PollTask {
  readonly url: string
  readonly pollers: number
  readonly events: number
  /** So many of the first events are not counted. */
  readonly warmUp: number
}

type Polled = {
  readonly p50Ms: number
  readonly p95Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  readonly requests: number
}

/** The process with all pollers, each with a connection of its own. */
export type PollingProgram = {
  /** Resolves when every poller has got every event. */
  readonly poll: (task: PollTask) => Promise<Polled>
}
