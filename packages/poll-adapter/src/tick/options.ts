import type { Cursor } from '../change/cursor.ts'
import type { Fetch } from '../change/source.ts'
import {
  abortSignal,
  anObject,
  callable,
  optionProblems,
  text,
  throwProblems,
  wholeNumber,
} from '../lifecycle/options.ts'
import type { TickMigration } from './migrated.ts'
import type { Schedule } from './schedule.ts'

/** Handles one item; the next one waits for it. */
export type TickHandler<Item> = (item: Item, context: TickContext) => unknown

export interface TickContext {
  /** Fires when the handler should give up: closing takes too long, or another process may act. */
  readonly signal: AbortSignal
}

/** Where a poller that is not migrated keeps its cursor, as it does today: a file, a row, nothing. */
export interface CursorStore {
  readonly load: () => Cursor | Promise<Cursor | undefined> | undefined
  /** Called after all items of a page were handled. */
  readonly save: (cursor: Cursor) => unknown
}

export interface TickLoopOptions<Item, Data = Item> {
  /** Names the poller, in what it tells. */
  readonly name: string
  /**
   * How often to ask, in milliseconds, or a function that answers the next time after another, both in
   * milliseconds since 1970: what a cron library calls the next run.
   */
  readonly every: Schedule
  /** Asks for what comes after the cursor; undefined is the very beginning. */
  readonly fetch: Fetch<Item>
  /** Is given each item, one after the other. */
  readonly handler: TickHandler<Item>
  /**
   * Where the cursor is kept while there is no migration. With one it is kept in Redis with the rest of the
   * position; then it is loaded from here once, when Redis knows nothing of the loop yet.
   * @defaultValue in memory: every start begins at the beginning
   */
  readonly cursor?: CursorStore
  /**
   * Lets the loop be moved to an event stream, and back, while it runs: `createMigration` has the switches.
   * It begins by polling, as without one; of all processes that run a loop of this name one acts.
   */
  readonly migration?: TickMigration<Item, Data>
  /** How many items one fetch asks for. @defaultValue 500 */
  readonly pageSize?: number
  /** How long one fetch may take, in milliseconds. @defaultValue 30_000 */
  readonly fetchTimeoutMs?: number
  /** Closes the loop when it fires. */
  readonly signal?: AbortSignal
}

export interface ResolvedTickLoopOptions<Item> {
  readonly name: string
  readonly every: Schedule
  readonly fetch: Fetch<Item>
  readonly handler: TickHandler<Item>
  readonly cursor: CursorStore
  readonly pageSize: number
  readonly fetchTimeoutMs: number
  readonly signal: AbortSignal | undefined
}

const defaults = Object.freeze({ pageSize: 500, fetchTimeoutMs: 30_000 })

/** @throws PollAdapterError `OPTIONS_INVALID`, listing all problems */
export function resolveTickLoopOptions<Item, Data>(
  options: TickLoopOptions<Item, Data>,
): ResolvedTickLoopOptions<Item> {
  const problems = optionProblems(options, {
    name: text,
    every: (value) =>
      typeof value === 'function' ||
      wholeNumber(1, 2_147_483_647, 'milliseconds')(value) === true ||
      'must be a whole number of milliseconds of at least 1, or a function',
    fetch: callable,
    handler: callable,
    cursor: anObject,
    migration: anObject,
    pageSize: wholeNumber(1, 100_000, 'items'),
    fetchTimeoutMs: wholeNumber(10, 3_600_000, 'milliseconds'),
    signal: abortSignal,
  })
  const given: Partial<Record<string, unknown>> = { ...options }
  for (const name of ['name', 'every', 'fetch', 'handler']) {
    if (given[name] === undefined) problems.push(`${name} is missing`)
  }
  if (options.migration !== undefined) {
    if (typeof options.every === 'function') {
      problems.push('every must be a number of milliseconds where there is a migration')
    }
    for (const name of ['millrace', 'stream'] as const) {
      if (options.migration[name] === undefined) problems.push(`migration.${name} is missing`)
    }
  }
  throwProblems('Tick loop', problems)
  return {
    name: options.name,
    every: options.every,
    fetch: options.fetch,
    handler: options.handler,
    cursor: options.cursor ?? inMemory(),
    pageSize: options.pageSize ?? defaults.pageSize,
    fetchTimeoutMs: options.fetchTimeoutMs ?? defaults.fetchTimeoutMs,
    signal: options.signal,
  }
}

function inMemory(): CursorStore {
  let kept: Cursor | undefined
  return {
    load: () => kept,
    save: (cursor) => {
      kept = cursor
    },
  }
}
