import type { Place } from '../harness/workbench.ts'
import type { Pace } from '../load/pace.ts'

export interface SendTask extends Pace {
  readonly place: Place
}

/** The sending process. */
export type SenderProgram = {
  readonly send: (task: SendTask) => Promise<{ readonly elapsedMs: number }>
}

export interface ReceiveTask {
  readonly place: Place
  readonly events: number
  readonly warmUp: number
  /** Left out for the product's default; the floor knows no such thing. */
  readonly latencyBudgetMs?: number
}

/** What is needed, besides percentiles that are figures in their own right, to draw a distribution. */
export type Curve = {
  readonly p1Ms: number
  readonly p10Ms: number
  readonly p25Ms: number
  readonly p75Ms: number
  readonly p90Ms: number
  readonly p999Ms: number
}

export type Received = Curve & {
  readonly p50Ms: number
  readonly p95Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  readonly within500Ms: number
  /** The share of the events that were handled within 100 ms of their receipt; the floor does not tell. */
  readonly handledWithin100Ms?: number
  readonly cpuMs: number
}

/** The receiving process. */
export type ReceiverProgram = {
  /** Resolves when it waits for events. */
  readonly open: (task: ReceiveTask) => Promise<void>
  /** Resolves when it has got them all. */
  readonly received: (nothing: null) => Promise<Received>
}
