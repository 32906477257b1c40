import type { Event } from '@millrace/runtime'
import {
  abortSignal,
  callable,
  oneOf,
  optionProblems,
  text,
  throwProblems,
  wholeNumber,
} from '../lifecycle/options.ts'
import { changeOf } from '../change/change.ts'
import { changeHeaders } from '../change/headers.ts'

/** One key and its value, as a stored snapshot or a full fetch has it. */
export interface StoredEntry<Value> {
  readonly key: string
  readonly value: Value
}

/** Where a snapshot begins instead of at the first event. */
export interface StoredSnapshot<Value> {
  readonly entries: Iterable<StoredEntry<Value>>
  /**
   * The cursor of the last event that is in the entries, as {@link SnapshotState} has it. Without it all
   * events of the stream are applied on top: right for a full fetch from the source that was made after
   * the first of them, because each event carries a whole value.
   */
  readonly cursor?: string | undefined
}

export interface SnapshotOptions<Data, Value = Data> {
  /** What it is called in facts and errors. @defaultValue the name of the stream */
  readonly name?: string
  /** Which key an event changes; undefined leaves it out. @defaultValue the event's own key, or that of
   * the change that it carries */
  readonly key?: (event: Event<Data>) => string | undefined
  /**
   * The value that a key has after the event; undefined deletes the key. It must be what JSON can say, and must
   * depend on nothing but the event. @defaultValue its data
   */
  readonly value?: (event: Event<Data>) => Value | undefined
  /**
   * Whether an event deletes its key. @defaultValue when its data is null, or its header says that it is a
   * delete
   */
  readonly isDelete?: (event: Event<Data>) => boolean
  /**
   * Fetches a stored snapshot, or the whole state from the source, whenever the snapshot begins: at first, and
   * when the stream was created anew or retention has overtaken it. @defaultValue none: the stream from
   * its first event on
   */
  readonly load?: (context: {
    readonly signal: AbortSignal
  }) => Promise<StoredSnapshot<Value> | undefined>
  /**
   * What to do where the stream has lost events before they were read and nothing was loaded, so that
   * keys may be missing: refuse with `SNAPSHOT_INCOMPLETE`, or serve what there is. @defaultValue 'refuse'
   */
  readonly incomplete?: 'refuse' | 'serve'
  /**
   * What to do with an event that cannot be decoded: refuse to answer with `PAYLOAD_INVALID`, or leave it
   * out. @defaultValue 'refuse'
   */
  readonly onInvalid?: 'refuse' | 'skip'
  /** The greatest number of keys; one more fails with `SNAPSHOT_TOO_LARGE`. @defaultValue 100_000 */
  readonly maxKeys?: number
  /** The greatest size of all keys and values, in bytes of JSON. @defaultValue 67_108_864 (64 MiB) */
  readonly maxBytes?: number
  /** How many entries a list has that does not say. @defaultValue 100 */
  readonly defaultLimit?: number
  /** The greatest limit; higher ones are lowered to it. @defaultValue 1_000 */
  readonly maxLimit?: number
  /** The longest wait for a change, in milliseconds; longer ones are lowered to it. @defaultValue 55_000 */
  readonly maxWaitMs?: number
  /** How many may wait in this process; more are refused with `BUSY`. @defaultValue 10_000 */
  readonly maxWaiting?: number
  /** How much later than at once a change may arrive, in milliseconds. @defaultValue 35 */
  readonly latencyBudgetMs?: number
  /** Closes the snapshot when it fires. */
  readonly signal?: AbortSignal
}

export interface ResolvedSnapshotOptions<Data, Value> {
  readonly name: string
  readonly key: (event: Event<Data>) => string | undefined
  readonly value: (event: Event<Data>) => Value | undefined
  readonly isDelete: (event: Event<Data>) => boolean
  readonly load: SnapshotOptions<Data, Value>['load'] | undefined
  readonly incomplete: 'refuse' | 'serve'
  readonly onInvalid: 'refuse' | 'skip'
  readonly maxKeys: number
  readonly maxBytes: number
  readonly defaultLimit: number
  readonly maxLimit: number
  readonly maxWaitMs: number
  readonly maxWaiting: number
  readonly latencyBudgetMs: number
  readonly signal: AbortSignal | undefined
}

const defaults = Object.freeze({
  incomplete: 'refuse' as const,
  onInvalid: 'refuse' as const,
  maxKeys: 100_000,
  maxBytes: 64 * 1024 * 1024,
  defaultLimit: 100,
  maxLimit: 1_000,
  maxWaitMs: 55_000,
  maxWaiting: 10_000,
  latencyBudgetMs: 35,
})

/** @throws PollAdapterError `OPTIONS_INVALID`, listing all problems */
export function resolveSnapshotOptions<Data, Value>(
  stream: string,
  options: SnapshotOptions<Data, Value>,
): ResolvedSnapshotOptions<Data, Value> {
  const problems = optionProblems(options, {
    name: text,
    key: callable,
    value: callable,
    isDelete: callable,
    load: callable,
    incomplete: oneOf('refuse', 'serve'),
    onInvalid: oneOf('refuse', 'skip'),
    maxKeys: wholeNumber(1, 100_000_000),
    maxBytes: wholeNumber(1, 8 * 1024 ** 3, 'bytes'),
    defaultLimit: wholeNumber(1, 100_000),
    maxLimit: wholeNumber(1, 100_000),
    maxWaitMs: wholeNumber(0, 3_600_000, 'milliseconds'),
    maxWaiting: wholeNumber(1, 1_000_000),
    latencyBudgetMs: wholeNumber(0, 10_000, 'milliseconds'),
    signal: abortSignal,
  })
  const maxLimit = options.maxLimit ?? defaults.maxLimit
  const defaultLimit = options.defaultLimit ?? Math.min(defaults.defaultLimit, maxLimit)
  if (defaultLimit > maxLimit) problems.push('defaultLimit must not be above maxLimit')
  throwProblems('Snapshot', problems)
  return {
    name: options.name ?? stream,
    key: options.key ?? ((event) => event.key ?? changeOf(event)?.key),
    // Without `value` the caller's Value is Data.
    value: options.value ?? (({ data }) => data as unknown as Value),
    isDelete: options.isDelete ?? isDelete,
    load: options.load,
    incomplete: options.incomplete ?? defaults.incomplete,
    onInvalid: options.onInvalid ?? defaults.onInvalid,
    maxKeys: options.maxKeys ?? defaults.maxKeys,
    maxBytes: options.maxBytes ?? defaults.maxBytes,
    defaultLimit,
    maxLimit,
    maxWaitMs: options.maxWaitMs ?? defaults.maxWaitMs,
    maxWaiting: options.maxWaiting ?? defaults.maxWaiting,
    latencyBudgetMs: options.latencyBudgetMs ?? defaults.latencyBudgetMs,
    signal: options.signal,
  }
}

function isDelete({ data, headers }: Event): boolean {
  return data === null || headers[changeHeaders.deleted] === '1'
}
