import { type EventStream, isMillraceError, type Millrace } from '@millrace/runtime'
import { PollAdapterError } from '../errors.ts'
import { WaitingRoom, type Woken } from '../feed/waiting.ts'
import { type Clock, systemClock } from '../lifecycle/clock.ts'
import { abortedError, onAbort, throwIfAborted } from '../lifecycle/signals.ts'
import { Keeper } from './keeper.ts'
import {
  type ResolvedSnapshotOptions,
  resolveSnapshotOptions,
  type SnapshotOptions,
  type StoredEntry,
} from './options.ts'
import type { Row, Table } from './table.ts'

/** The latest value of one key. */
export interface SnapshotEntry<Value> {
  readonly key: string
  readonly value: Value
  /** A strong ETag: equal for equal values, in every process. */
  readonly etag: string
  /** The id of the event that brought the value; '' where it was loaded. */
  readonly version: string
}

export interface SnapshotList<Value> {
  readonly entries: readonly SnapshotEntry<Value>[]
  /** The key after which the next page begins; null at the end. */
  readonly next: string | null
  /** The ETag of the whole snapshot. */
  readonly etag: string
}

export interface ListRequest {
  /** The key after which to begin: `next` of the page before. */
  readonly after?: string
  /** Only keys that begin with it. @defaultValue '' */
  readonly prefix?: string
  readonly limit?: number
  readonly signal?: AbortSignal
}

export interface ChangeRequest {
  /** Only this key; otherwise anything. */
  readonly key?: string
  /** The ETag that the caller has; undefined where it has none, or the key was not there. */
  readonly etag?: string | undefined
  /** How long to wait, in milliseconds. @defaultValue `maxWaitMs` */
  readonly waitMs?: number
  readonly signal?: AbortSignal
}

export interface ChangeAnswer<Value> {
  /** False when the time was up, or the snapshot was closed. */
  readonly changed: boolean
  /** The ETag as it is now; undefined for a key that is not there. */
  readonly etag: string | undefined
  /** The entry as it is now, where a key was asked for and is there. */
  readonly entry: SnapshotEntry<Value> | undefined
}

/** What an owner stores, so that a later snapshot begins there: see `load`. */
export interface SnapshotState<Value> {
  readonly entries: readonly StoredEntry<Value>[]
  readonly cursor: string
}

/**
 * Keeps the latest value of every key of a stream in memory. The first call begins to read.
 * @throws PollAdapterError `OPTIONS_INVALID`
 */
export function createSnapshot<Data, Value = Data>(
  millrace: Millrace,
  stream: EventStream<never, Data>,
  options: SnapshotOptions<Data, Value> = {},
): Snapshot<Data, Value> {
  const resolved = resolveSnapshotOptions(stream.name, options)
  return new Snapshot(millrace, stream, resolved, systemClock)
}

/** See {@link createSnapshot}. */
export class Snapshot<Data, Value = Data> {
  readonly name: string
  readonly #options: ResolvedSnapshotOptions<Data, Value>
  readonly #clock: Clock
  readonly #keeper: Keeper<Data, Value>
  /** Those who wait for one key, and under `undefined` for anything. */
  readonly #rooms = new Map<string | undefined, WaitingRoom>()
  readonly #closed = Promise.withResolvers<void>()
  #waiting = 0
  #offSignal: () => void = () => undefined
  #close: Promise<void> | undefined

  /** Use {@link createSnapshot}. @internal */
  constructor(
    millrace: Millrace,
    stream: EventStream<never, Data>,
    options: ResolvedSnapshotOptions<Data, Value>,
    clock: Clock,
  ) {
    this.name = options.name
    this.#options = options
    this.#clock = clock
    this.#keeper = new Keeper(millrace, stream, options, clock, {
      changed: (keys) => {
        this.#wake(keys)
      },
      ended: () => void this.close(),
    })
    this.#offSignal = onAbort(options.signal, () => void this.close())
  }

  /** Resolves when everything that `close` does is done. */
  get closed(): Promise<void> {
    return this.#closed.promise
  }

  /** Whether nothing is known to be missing; undefined before `ready`. */
  get complete(): boolean | undefined {
    return this.#keeper.complete
  }

  /** How many wait for a change. */
  get waiting(): number {
    return this.#waiting
  }

  /**
   * Resolves once everything that the stream had has been read.
   * @throws PollAdapterError `SNAPSHOT_TOO_LARGE`, `SNAPSHOT_INCOMPLETE`, `CLOSED`
   */
  async ready(signal?: AbortSignal): Promise<void> {
    await this.#table(signal)
  }

  /** The latest value of a key; undefined where there is none. */
  async get(
    key: string,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<SnapshotEntry<Value> | undefined> {
    const row = (await this.#table(options.signal)).row(key)
    return row && entryOf(row)
  }

  /**
   * The latest values in the order of their keys. Pages of a snapshot that changes meanwhile hold each
   * key at most once, and every key that was there all the time.
   */
  async list(request: ListRequest = {}): Promise<SnapshotList<Value>> {
    const { after, prefix = '', signal } = request
    const limit = this.#limitOf(request.limit)
    const table = await this.#table(signal)
    const rows = table.after(after, prefix, limit + 1)
    const entries = rows.slice(0, limit).map((row) => entryOf(row))
    const next = rows.length > limit ? (entries.at(-1)?.key ?? null) : null
    return { entries, next, etag: table.etag }
  }

  /**
   * Waits until the ETag of a key, or of everything, is another one than the caller has.
   * @throws PollAdapterError `ABORTED`, `BUSY`
   */
  async waitForChange(request: ChangeRequest = {}): Promise<ChangeAnswer<Value>> {
    const { key, etag, signal } = request
    const { maxWaitMs } = this.#options
    const waitMs = Math.min(request.waitMs ?? maxWaitMs, maxWaitMs)
    if (!(waitMs >= 0)) {
      throw new PollAdapterError('REQUEST_INVALID', 'waitMs must be a number of at least 0')
    }
    throwIfAborted(signal, 'The wait')
    const startedMs = this.#clock.monotonicMs()
    for (;;) {
      const table = await this.#table(signal)
      const row = key === undefined ? undefined : table.row(key)
      const now = key === undefined ? table.etag : row?.etag
      const leftMs = waitMs - (this.#clock.monotonicMs() - startedMs)
      const changed = now !== etag
      if (changed || leftMs <= 0 || this.#close !== undefined) {
        return { changed, etag: now, entry: row && entryOf(row) }
      }
      const why = await this.#wait(key, leftMs, signal)
      if (why === 'aborted' && signal !== undefined) throw abortedError(signal, 'The wait')
      // Closing answers with what there is.
      if (why === 'closing') return { changed: false, etag: now, entry: row && entryOf(row) }
    }
  }

  /** Everything as it is now, to be stored and given to `load` later. */
  async state(options: { readonly signal?: AbortSignal } = {}): Promise<SnapshotState<Value>> {
    const table = await this.#table(options.signal)
    const entries = Array.from(table.rows(), ({ key, value }) => ({ key, value }))
    return { entries, cursor: this.#keeper.cursor }
  }

  /** Answers everyone who waits, and lets go of the stream. Idempotent. */
  close(): Promise<void> {
    this.#close ??= this.#end()
    return this.#close
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #end(): Promise<void> {
    this.#offSignal()
    for (const room of [...this.#rooms.values()]) room.wake('closing')
    await this.#keeper.close()
    this.#closed.resolve()
  }

  async #table(signal: AbortSignal | undefined): Promise<Table<Value>> {
    if (this.#close !== undefined) {
      throw new PollAdapterError('CLOSED', `Snapshot ${this.name} was closed`, { name: this.name })
    }
    try {
      return await this.#keeper.table(signal)
    } catch (error) {
      if (!isMillraceError(error, 'CLOSED')) throw error
      throw new PollAdapterError('CLOSED', `Snapshot ${this.name} was closed`, { cause: error })
    }
  }

  #limitOf(limit: number | undefined): number {
    const { defaultLimit, maxLimit } = this.#options
    if (limit === undefined) return defaultLimit
    if (Number.isSafeInteger(limit) && limit >= 1) return Math.min(limit, maxLimit)
    throw new PollAdapterError('REQUEST_INVALID', 'limit must be a whole number of at least 1')
  }

  async #wait(
    key: string | undefined,
    ms: number,
    signal: AbortSignal | undefined,
  ): Promise<Woken> {
    const { maxWaiting } = this.#options
    if (this.#waiting >= maxWaiting) {
      throw new PollAdapterError('BUSY', `${maxWaiting} are waiting here already`)
    }
    let room = this.#rooms.get(key)
    if (room === undefined) this.#rooms.set(key, (room = new WaitingRoom(this.#clock, maxWaiting)))
    this.#waiting++
    try {
      return await room.wait(ms, signal)
    } finally {
      this.#waiting--
      if (room.size === 0 && this.#rooms.get(key) === room) this.#rooms.delete(key)
    }
  }

  /** @param keys undefined when anything may have changed */
  #wake(keys: ReadonlySet<string> | undefined): void {
    this.#rooms.get(undefined)?.wake('event')
    if (keys === undefined) for (const room of [...this.#rooms.values()]) room.wake('event')
    else for (const key of keys) this.#rooms.get(key)?.wake('event')
  }
}

function entryOf<Value>({ key, value, etag, version }: Row<Value>): SnapshotEntry<Value> {
  return { key, value, etag, version }
}
