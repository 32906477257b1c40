import type { Event } from '@millrace/runtime'
import { NAME } from '../bridge/options.ts'
import type { Change } from '../change/change.ts'
import type { Cursor } from '../change/cursor.ts'
import type { Source } from '../change/source.ts'
import {
  abortSignal,
  anObject,
  boolean,
  callable,
  optionProblems,
  throwProblems,
  wholeNumber,
} from '../lifecycle/options.ts'
import type { MigrationMode } from './state.ts'

/** What a handler is told beside the item. */
export interface PollDelivery {
  readonly change: Change
  /** Which way the item came; shadows poll. */
  readonly via: 'poll' | 'stream'
  /** Rises with each switch; fences side effects of different modes. */
  readonly epoch: number
  /** Fires when the handler should give up: the lease is lost or in doubt, or closing takes too long. */
  readonly signal: AbortSignal
}

/** Gets each item that is new or changed; `undefined` for one that a snapshot does not have any more. */
export type PollHandler<Item> = (
  item: Item | undefined,
  delivery: PollDelivery,
) => Promise<unknown> | unknown

export interface PollerOptions<Item, Data = Item> {
  /** Under this name Redis keeps state and position. Of all processes that run the poller one acts. */
  readonly name: string
  /** The old source. */
  readonly source: Source<Item>
  readonly handler: PollHandler<Item>
  /**
   * Where a poller begins of which Redis knows nothing yet: the cursor that it has reached so far, wherever
   * that is kept. Of a source with an overlap, what lies within one overlap before it is handled again.
   * @defaultValue the source's beginning
   */
  readonly from?: () => Cursor | Promise<Cursor | undefined> | undefined
  /** The pause between two polls, in milliseconds. @defaultValue 1_000 */
  readonly intervalMs?: number
  /**
   * The bridge that fills the stream from the same source; its places tell where in the stream a poller goes
   * on. @defaultValue the poller's name
   */
  readonly bridge?: string
  /** Makes an item of an event again. @defaultValue the event's data, and `undefined` for one that is gone */
  readonly itemOf?: (event: Event<Data>, change: Change) => Item | undefined
  /**
   * Whether the source can tell all that a switch needs; `false` for one whose cursors or identities are not
   * to be trusted: it never goes beyond `shadow`.
   * @defaultValue true
   */
  readonly mayLeavePolling?: boolean
  /**
   * How many items one poll asks for. Above a limit of the source's own, the source has to say whether there is
   * more (`hasMore`), else what it cuts off may be found late or, among equal cursors, never.
   * @defaultValue 500
   */
  readonly pageSize?: number
  /** How long one poll may take, in milliseconds. @defaultValue 30_000 */
  readonly fetchTimeoutMs?: number
  /** Of a snapshot: the greatest share of its items that may be gone at once. @defaultValue 0.5 */
  readonly maxDeletedShare?: number
  /**
   * After how many handled items the position is stored, at the latest: so many at most are handled again
   * after a crash.
   * @defaultValue 100
   */
  readonly checkpointEvery?: number
  /**
   * How long a change may be seen on one side only before the shadow says so, in milliseconds; at least twice
   * the interval. @defaultValue twice the interval, and at least 2 seconds
   */
  readonly shadowWindowMs?: number
  /**
   * In `stream-with-fallback`: how long the stream may seem dead before polling goes on, in milliseconds.
   * @defaultValue 10_000
   */
  readonly unhealthyAfterMs?: number
  /** How long the stream must seem well before it feeds the handler again. @defaultValue 10_000 */
  readonly healthyAfterMs?: number
  /** How often the holder looks whether it was switched, in milliseconds. @defaultValue 500 */
  readonly lookEveryMs?: number
  /**
   * How long after its last sign of life the acting process counts as dead, in milliseconds.
   * @defaultValue 4_000
   */
  readonly leaseMs?: number
  /** Closes the poller when it fires. */
  readonly signal?: AbortSignal
}

export interface ResolvedPollerOptions<Item, Data> {
  readonly name: string
  readonly source: Source<Item>
  readonly handler: PollHandler<Item>
  readonly from: () => Cursor | Promise<Cursor | undefined> | undefined
  readonly intervalMs: number
  readonly bridge: string
  readonly itemOf: (event: Event<Data>, change: Change) => Item | undefined
  readonly mayLeavePolling: boolean
  readonly pageSize: number
  readonly fetchTimeoutMs: number
  readonly maxDeletedShare: number
  readonly checkpointEvery: number
  readonly shadowWindowMs: number
  readonly unhealthyAfterMs: number
  readonly healthyAfterMs: number
  readonly lookEveryMs: number
  readonly leaseMs: number
  readonly signal: AbortSignal | undefined
}

const defaults = Object.freeze({
  intervalMs: 1_000,
  mayLeavePolling: true,
  pageSize: 500,
  fetchTimeoutMs: 30_000,
  maxDeletedShare: 0.5,
  checkpointEvery: 100,
  leastShadowWindowMs: 2_000,
  unhealthyAfterMs: 10_000,
  healthyAfterMs: 10_000,
  lookEveryMs: 500,
  leaseMs: 4_000,
})

const DAY_MS = 86_400_000

/** @throws PollAdapterError `OPTIONS_INVALID`, listing all problems */
export function resolvePollerOptions<Item, Data>(
  options: PollerOptions<Item, Data>,
): ResolvedPollerOptions<Item, Data> {
  const name = (v: unknown): boolean | string =>
    NAME.test(String(v)) || 'must be 1 to 100 characters out of A–Z a–z 0–9 . _ -'
  const problems = optionProblems(options, {
    name,
    source: anObject,
    handler: callable,
    from: callable,
    intervalMs: wholeNumber(1, DAY_MS, 'milliseconds'),
    bridge: name,
    itemOf: callable,
    mayLeavePolling: boolean,
    pageSize: wholeNumber(1, 100_000),
    fetchTimeoutMs: wholeNumber(10, 3_600_000, 'milliseconds'),
    maxDeletedShare: (v) =>
      (typeof v === 'number' && v >= 0 && v <= 1) || 'must be a number from 0 to 1',
    checkpointEvery: wholeNumber(1, 100_000),
    shadowWindowMs: wholeNumber(1, DAY_MS, 'milliseconds'),
    unhealthyAfterMs: wholeNumber(100, DAY_MS, 'milliseconds'),
    healthyAfterMs: wholeNumber(0, DAY_MS, 'milliseconds'),
    lookEveryMs: wholeNumber(10, 2_000, 'milliseconds'),
    leaseMs: wholeNumber(500, 3_600_000, 'milliseconds'),
    signal: abortSignal,
  })
  const given: Partial<Record<string, unknown>> = { ...options }
  for (const needed of ['name', 'source', 'handler']) {
    if (given[needed] === undefined) problems.push(`${needed} is missing`)
  }
  throwProblems(`Poller ${options.name}`, problems)
  const intervalMs = options.intervalMs ?? defaults.intervalMs
  return {
    name: options.name,
    source: options.source,
    handler: options.handler,
    from: options.from ?? beginning,
    intervalMs,
    bridge: options.bridge ?? options.name,
    // The item is the event's data; whoever has types of their own gives `itemOf`.
    itemOf:
      options.itemOf ??
      ((event, { deleted }) =>
        deleted && event.data === null ? undefined : (event.data as unknown as Item)),
    mayLeavePolling: options.mayLeavePolling ?? defaults.mayLeavePolling,
    pageSize: options.pageSize ?? defaults.pageSize,
    fetchTimeoutMs: options.fetchTimeoutMs ?? defaults.fetchTimeoutMs,
    maxDeletedShare: options.maxDeletedShare ?? defaults.maxDeletedShare,
    checkpointEvery: options.checkpointEvery ?? defaults.checkpointEvery,
    shadowWindowMs: Math.max(
      options.shadowWindowMs ?? defaults.leastShadowWindowMs,
      2 * intervalMs,
    ),
    unhealthyAfterMs: options.unhealthyAfterMs ?? defaults.unhealthyAfterMs,
    healthyAfterMs: options.healthyAfterMs ?? defaults.healthyAfterMs,
    lookEveryMs: options.lookEveryMs ?? defaults.lookEveryMs,
    leaseMs: options.leaseMs ?? defaults.leaseMs,
    signal: options.signal,
  }
}

/** Which way the items of a mode come. */
export function viaOf(mode: MigrationMode): 'poll' | 'stream' {
  return mode === 'stream' ? 'stream' : 'poll'
}

function beginning(): undefined {
  return undefined
}
