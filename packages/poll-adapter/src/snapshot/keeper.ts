import {
  type Event,
  type EventStream,
  isMillraceError,
  type Millrace,
  type StartPosition,
} from '@millrace/runtime'
import { pollChannels, type SnapshotChanged } from '../diagnostics.ts'
import { isPollAdapterError, messageOf, PollAdapterError } from '../errors.ts'
import { BEFORE_ALL, formatPosition } from '../feed/stream-position.ts'
import type { Clock } from '../lifecycle/clock.ts'
import { abortable, pause } from '../lifecycle/signals.ts'
import type { ResolvedSnapshotOptions } from './options.ts'
import { Table } from './table.ts'

const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 2_000

/** What the snapshot does when there is news. */
export interface KeeperNews {
  /** Undefined when anything may have changed. */
  changed(keys: ReadonlySet<string> | undefined): void
  /** Reading has ended for good. */
  ended(): void
}

/**
 * Reads a stream into a table. While a table is built anew the last one goes on answering; it is replaced in one
 * step.
 */
export class Keeper<Data, Value> {
  readonly #millrace: Millrace
  readonly #stream: EventStream<never, Data>
  readonly #options: ResolvedSnapshotOptions<Data, Value>
  readonly #clock: Clock
  readonly #news: KeeperNews
  readonly #closing = new AbortController()
  #current: Table<Value> | undefined
  #cursor = ''
  #complete: boolean | undefined
  #attempt: PromiseWithResolvers<Table<Value>> | undefined
  #run: Promise<void> | undefined
  /** What keeps the table from following the stream; whoever asks is told. */
  #trouble: Error | undefined
  #changedKeys = new Set<string>()
  #isAnnounced = false
  /** Whether the stream that the table was kept from has gone. */
  #wasRecreated = false

  constructor(
    millrace: Millrace,
    stream: EventStream<never, Data>,
    options: ResolvedSnapshotOptions<Data, Value>,
    clock: Clock,
    news: KeeperNews,
  ) {
    this.#millrace = millrace
    this.#stream = stream
    this.#options = options
    this.#clock = clock
    this.#news = news
  }

  get complete(): boolean | undefined {
    return this.#complete
  }
  /** After the last event that is in the table. */
  get cursor(): string {
    return this.#cursor
  }

  /** The table once it has caught up with the stream; begins to read. */
  async table(signal: AbortSignal | undefined): Promise<Table<Value>> {
    if (this.#trouble !== undefined) throw this.#trouble
    if (this.#current !== undefined) return this.#current
    this.#attempt ??= newAttempt()
    this.#run ??= this.#keep()
    return await abortable(this.#attempt.promise, signal, 'The call')
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#fail(this.#closedError())
    await this.#run
  }

  async #keep(): Promise<void> {
    const { signal } = this.#closing
    let pauseMs = FIRST_PAUSE_MS
    while (!signal.aborted) {
      try {
        if (this.#current === undefined || this.#wasRecreated) await this.#begin()
        pauseMs = FIRST_PAUSE_MS
        const table = this.#current
        if (table !== undefined) await this.#followInto(table)
        if (!signal.aborted) break
      } catch (error) {
        if (isMillraceError(error, 'CLOSED')) break
        const isLost = isMillraceError(error, 'CURSOR_INVALID') || isMillraceError(error, 'GAP')
        if (isLost) {
          this.#wasRecreated = true
          this.#tell('restarted', messageOf(error))
        } else {
          this.#fail(error)
          this.#tell('failed', messageOf(error))
          this.#news.changed(undefined)
        }
        // Nothing but the owner can mend these.
        const isFinal =
          isPollAdapterError(error, 'SNAPSHOT_TOO_LARGE') ||
          isPollAdapterError(error, 'SNAPSHOT_INCOMPLETE')
        if (isFinal) {
          this.#current = undefined
          return
        }
        await pause(this.#clock, pauseMs, signal)
        pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)
      }
    }
    this.#closing.abort()
    this.#fail(this.#closedError())
    this.#news.ended()
  }

  /** Reads everything that the stream has into a new table. */
  async #begin(): Promise<void> {
    const { signal } = this.#closing
    const { load, incomplete, name } = this.#options
    const report = await this.#millrace.inspect(this.#stream, { signal })
    const stored = await load?.({ signal })
    const complete = stored !== undefined || (report.trimmed === '' && !this.#wasRecreated)
    if (!complete && incomplete === 'refuse') {
      throw new PollAdapterError(
        'SNAPSHOT_INCOMPLETE',
        `Snapshot ${name}: event stream ${this.#stream.name} no longer has all events, and nothing was loaded`,
        { name, stream: this.#stream.name },
      )
    }
    const table = new Table<Value>(this.#options)
    for (const { key, value } of stored?.entries ?? []) table.set(key, value, '')
    let cursor = stored?.cursor
    // What is complete must not lose its beginning while it is read.
    const from = cursor ?? (report.trimmed === '' ? { id: BEFORE_ALL } : 'earliest')
    for await (const event of this.#events(from, false)) {
      this.#apply(table, event)
      cursor = event.cursor
    }
    if (signal.aborted) return
    const { incarnation, lastId } = report
    // With nothing read there is nothing up to where the stream ended before.
    this.#cursor = cursor ?? formatPosition({ incarnation, id: lastId })
    this.#current = table
    this.#complete = complete
    this.#wasRecreated = false
    this.#trouble = undefined
    this.#attempt?.resolve(table)
    this.#attempt = undefined
    this.#tell('following', '')
    this.#news.changed(undefined)
  }

  async #followInto(table: Table<Value>): Promise<void> {
    for await (const event of this.#events(this.#cursor, false)) this.#take(table, event)
    // Only now is it known that reading works, also when nothing new comes for long.
    this.#trouble = undefined
    for await (const event of this.#events(this.#cursor, true)) {
      this.#take(table, event)
    }
  }

  #take(table: Table<Value>, event: Event<Data>): void {
    const key = this.#apply(table, event)
    this.#cursor = event.cursor
    if (key !== undefined) this.#announce(key)
  }

  /** Answers the key that changed, if any did. */
  #apply(table: Table<Value>, event: Event<Data>): string | undefined {
    const { key: keyOf, value: valueOf, isDelete } = this.#options
    const key = keyOf(event)
    if (key === undefined) return undefined
    const value = isDelete(event) ? undefined : valueOf(event)
    const changed =
      value === undefined ? table.delete(key, event.id) : table.set(key, value, event.id)
    return changed ? key : undefined
  }

  #events(from: StartPosition | string, live: boolean): AsyncIterable<Event<Data>> {
    const { latencyBudgetMs, onInvalid } = this.#options
    return this.#millrace.reader(this.#stream, {
      from,
      live,
      latencyBudgetMs,
      signal: this.#closing.signal,
      onGap: 'stop',
      onInvalid: onInvalid === 'skip' ? 'skip' : 'throw',
    })
  }

  /** Once for all events of one read. */
  #announce(key: string): void {
    this.#changedKeys.add(key)
    if (this.#isAnnounced) return
    this.#isAnnounced = true
    setImmediate(() => {
      const keys = this.#changedKeys
      this.#changedKeys = new Set()
      this.#isAnnounced = false
      this.#news.changed(keys)
    })
  }

  #fail(error: unknown): void {
    const isKnown = isMillraceError(error) || error instanceof PollAdapterError
    const failure = isKnown
      ? error
      : new PollAdapterError('SOURCE_FAILED', messageOf(error), {
          cause: error,
          name: this.#options.name,
        })
    this.#trouble = failure
    this.#attempt?.reject(failure)
    this.#attempt = undefined
  }

  #closedError(): PollAdapterError {
    const { name } = this.#options
    return new PollAdapterError('CLOSED', `Snapshot ${name} was closed`, { name })
  }

  #tell(change: SnapshotChanged['change'], detail: string): void {
    pollChannels.snapshotChanged.publish({
      stream: this.#stream.name,
      snapshot: this.#options.name,
      change,
      keys: this.#current?.keys ?? 0,
      bytes: this.#current?.bytes ?? 0,
      detail,
    })
  }
}

/** Nobody may be waiting any more when it fails. */
function newAttempt<Value>(): PromiseWithResolvers<Table<Value>> {
  const attempt = Promise.withResolvers<Table<Value>>()
  attempt.promise.catch(() => undefined)
  return attempt
}
