import type { StepEvent } from '@millrace/runtime'
import type { Change } from '../change/change.ts'
import type { Cursor } from '../change/cursor.ts'
import type { Source } from '../change/source.ts'
import {
  abortSignal,
  anObject,
  callable,
  oneOf,
  optionProblems,
  throwProblems,
  wholeNumber,
} from '../lifecycle/options.ts'

/** What an event is made of, beside the headers that the bridge gives it. */
export type BridgedEvent<Input> = Pick<StepEvent<Input>, 'data' | 'headers' | 'timeMs' | 'type'>

export interface BridgeOptions<Item, Input = Item> {
  /** Under this name Redis keeps where the bridge is; one process of all that run it polls the source. */
  readonly name: string
  readonly source: Source<Item>
  /**
   * What an item becomes in the stream; undefined leaves it out. Of an item that a snapshot does not have
   * any more there is only the change.
   * @defaultValue the item itself, and `null` for one that is gone
   */
  readonly toEvent?: (item: Item | undefined, change: Change) => BridgedEvent<Input> | undefined
  /** Where a bridge that runs for the first time begins. @defaultValue the source's beginning */
  readonly from?: Cursor
  /** The pause after a fetch that brought something new, in milliseconds. @defaultValue 250 */
  readonly minIntervalMs?: number
  /**
   * The longest pause; while nothing new comes, pauses grow up to it. Too long: late news. Too short: load on
   * the source.
   * @defaultValue 5_000
   */
  readonly maxIntervalMs?: number
  /**
   * How many items one fetch asks for. Above a limit of the source's own, the source has to say whether there is
   * more (`hasMore`), else what it cuts off may be found late or, among equal cursors, never.
   * @defaultValue 500
   */
  readonly pageSize?: number
  /** How long one fetch may take, in milliseconds. @defaultValue 30_000 */
  readonly fetchTimeoutMs?: number
  /**
   * What to do with an item that cannot become an event: try it again until it can, holding back what
   * comes after it, or tell of it on the channel `bridgeFailed` and leave it out.
   * @defaultValue 'retry'
   */
  readonly onInvalid?: 'retry' | 'skip'
  /**
   * Of a snapshot: the greatest share of its items that may be gone at once. More counts as a failure of
   * the source, because an empty answer by mistake would delete everything.
   * @defaultValue 0.5
   */
  readonly maxDeletedShare?: number
  /**
   * How long after its last sign of life the process that polls counts as dead, in milliseconds.
   * @defaultValue 4_000
   */
  readonly leaseMs?: number
  /** Closes the bridge when it fires. */
  readonly signal?: AbortSignal
}

export interface ResolvedBridgeOptions<Item, Input> {
  readonly name: string
  readonly source: Source<Item>
  readonly toEvent: (item: Item | undefined, change: Change) => BridgedEvent<Input> | undefined
  readonly from: Cursor | undefined
  readonly minIntervalMs: number
  readonly maxIntervalMs: number
  readonly pageSize: number
  readonly fetchTimeoutMs: number
  readonly onInvalid: 'retry' | 'skip'
  readonly maxDeletedShare: number
  readonly leaseMs: number
  readonly signal: AbortSignal | undefined
}

const defaults = Object.freeze({
  minIntervalMs: 250,
  maxIntervalMs: 5_000,
  pageSize: 500,
  fetchTimeoutMs: 30_000,
  onInvalid: 'retry' as const,
  maxDeletedShare: 0.5,
  leaseMs: 4_000,
})

/** @throws PollAdapterError `OPTIONS_INVALID`, listing all problems */
export function resolveBridgeOptions<Item, Input>(
  options: BridgeOptions<Item, Input>,
): ResolvedBridgeOptions<Item, Input> {
  const problems = optionProblems(options, {
    name: (v) => NAME.test(String(v)) || 'must be 1 to 100 characters out of A–Z a–z 0–9 . _ -',
    source: anObject,
    toEvent: callable,
    from: (v) => typeof v === 'number' || typeof v === 'string' || 'must be a cursor',
    minIntervalMs: wholeNumber(0, 86_400_000, 'milliseconds'),
    maxIntervalMs: wholeNumber(1, 86_400_000, 'milliseconds'),
    pageSize: wholeNumber(1, 100_000),
    fetchTimeoutMs: wholeNumber(10, 3_600_000, 'milliseconds'),
    onInvalid: oneOf('retry', 'skip'),
    maxDeletedShare: (v) =>
      (typeof v === 'number' && v >= 0 && v <= 1) || 'must be a number from 0 to 1',
    leaseMs: wholeNumber(500, 3_600_000, 'milliseconds'),
    signal: abortSignal,
  })
  const given: Partial<Record<string, unknown>> = { ...options }
  for (const name of ['name', 'source']) {
    if (given[name] === undefined) problems.push(`${name} is missing`)
  }
  const minIntervalMs = options.minIntervalMs ?? defaults.minIntervalMs
  const maxIntervalMs = options.maxIntervalMs ?? Math.max(defaults.maxIntervalMs, minIntervalMs)
  if (minIntervalMs > maxIntervalMs) problems.push('minIntervalMs must not exceed maxIntervalMs')
  throwProblems(`Bridge ${options.name}`, problems)
  return {
    name: options.name,
    source: options.source,
    // The event is the item; whoever has types of their own gives `toEvent`.
    toEvent: options.toEvent ?? ((item) => ({ data: (item ?? null) as Input })),
    from: options.from,
    minIntervalMs,
    maxIntervalMs,
    pageSize: options.pageSize ?? defaults.pageSize,
    fetchTimeoutMs: options.fetchTimeoutMs ?? defaults.fetchTimeoutMs,
    onInvalid: options.onInvalid ?? defaults.onInvalid,
    maxDeletedShare: options.maxDeletedShare ?? defaults.maxDeletedShare,
    leaseMs: options.leaseMs ?? defaults.leaseMs,
    signal: options.signal,
  }
}

/** Names stand in keys, with a few words behind them. */
export const NAME: RegExp = /^[A-Za-z0-9._-]{1,100}$/
