import type { Place } from '../harness/workbench.ts'
import type { Pace } from '../load/pace.ts'
import type { Lap } from '../load/stopwatch.ts'

export interface OpenTask {
  readonly place: Place
  readonly streams: number
  readonly consumersPerStream: number
  /** Left out for the product's default. */
  readonly latencyBudgetMs?: number
  /** Gives way to all other processes, as if it ran on another machine. */
  readonly lowPriority?: boolean
}

export interface Delivered {
  readonly p50Ms: number
  readonly p95Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  readonly cpuMs: number
}

interface Memory {
  readonly heapKiB: number
  readonly residentKiB: number
}

/** One process that holds all consumers. */
export type ConsumersProgram = {
  /** Resolves when all hold their leases and the shared tail is open. */
  readonly open: (task: OpenTask) => Promise<void>
  /** Begins to count and measure anew. */
  readonly begin: (nothing: null) => void
  /** Resolves when so many events were handed to handlers since the beginning, by all consumers together. */
  readonly delivered: (events: number) => Promise<Delivered>
  /** How long those that measure have waited since the beginning, in milliseconds. */
  readonly latencies: (nothing: null) => readonly number[]
  /** After a full garbage collection; the process needs `--expose-gc`. */
  readonly memory: (nothing: null) => Promise<Memory>
  /**
   * Adds a consumer to the first stream that reads from the beginning and takes 100 ms for each event;
   * resolves once it has handled one.
   */
  readonly openSlow: (nothing: null) => Promise<void>
  /** How many events the slow consumer has handled. */
  readonly slowHandled: (nothing: null) => number
}

/** One process that publishes. */
export type PublisherProgram = {
  /** Also publishes to a stream that nobody reads, so that nothing is measured while it is being compiled. */
  readonly open: (task: { readonly place: Place; readonly streams: number }) => Promise<void>
  /** At a fixed pace, to one stream after the other. */
  readonly paced: (pace: Pace) => Promise<{ readonly elapsedMs: number }>
  /** As fast as possible, to the first stream. */
  readonly burst: (events: number) => Promise<Lap>
  /** As fast as possible, to a stream that nobody reads. */
  readonly flood: (events: number) => Promise<Lap>
}
