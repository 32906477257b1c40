import { messageOf, PollAdapterError } from '../errors.ts'
import { callable, oneOf, optionProblems, text, throwProblems } from '../lifecycle/options.ts'
import { type Change, changeId, contentHash } from './change.ts'
import { compareCursors, type CompareCursors, type Cursor, type CursorClass } from './cursor.ts'

/** What one fetch of a source answers. */
export interface Page<Item> {
  readonly items: readonly Item[]
  /** Where the next fetch goes on. */
  readonly cursor?: Cursor | undefined
  /** Whether there is more right now. @defaultValue whether the page brought anything new */
  readonly hasMore?: boolean | undefined
  /** The source says that nothing has changed since the cursor; items do not count then. */
  readonly notModified?: boolean | undefined
}

/** Asks a source for what comes after the cursor; undefined is the very beginning. */
export type Fetch<Item> = (
  cursor: Cursor | undefined,
  context: { readonly signal: AbortSignal; readonly limit: number },
) => Page<Item> | Promise<Page<Item>>

interface SourceBasics<Item> {
  readonly fetch: Fetch<Item>
  /** The item's identity: all versions of one item have the same key. */
  readonly key: (item: Item) => string
  /**
   * What rises or changes with each change of an item: by it a change is known again. Without it the content is what
   * a change is known by, which means: whatever of the content varies from one fetch to the next (the time of the
   * answer, the order of a list) makes a new change each time it is read again; and a value that comes back under the
   * same cursor, such as a time in whole seconds, looks like the change before. A bridge over cursors of the class
   * `overlap` or `border` refuses that one with `SOURCE_FAILED` where it sees it, and a poller handles it.
   * @defaultValue a hash of the item's content
   */
  readonly version?: (item: Item) => number | string
  /** Whether the item says that it is gone, where the source shows deletes that way. */
  readonly isDeleted?: (item: Item) => boolean
}

export interface ExactSource<Item> extends SourceBasics<Item> {
  readonly cursors: 'exact'
  readonly cursorOf: (item: Item) => Cursor
  /** @defaultValue numbers and decimal texts by value, other texts by their characters */
  readonly compare?: CompareCursors
}

export interface OverlapSource<Item> extends SourceBasics<Item> {
  readonly cursors: 'overlap'
  readonly cursorOf: (item: Item) => Cursor
  readonly compare?: CompareCursors
  /**
   * How far back is read again, against changes that appear late: a number is subtracted from numeric
   * cursors, and as milliseconds from ISO times; a function answers the cursor one overlap before another.
   * Too small: what commits later than that is lost. Too large: every fetch reads more again.
   */
  readonly overlap: number | ((cursor: Cursor) => Cursor)
}

export interface BorderSource<Item> extends SourceBasics<Item> {
  readonly cursors: 'border'
}

export interface SnapshotSource<Item> extends SourceBasics<Item> {
  readonly cursors: 'snapshot'
}

/** An old source, and what may be concluded from what it answers. */
export type SourceOptions<Item> =
  | BorderSource<Item>
  | ExactSource<Item>
  | OverlapSource<Item>
  | SnapshotSource<Item>

/** A source as the bridge and the migration use it; {@link defineSource} makes it. */
export interface Source<Item> {
  readonly fetch: Fetch<Item>
  readonly cursors: CursorClass
  /** @throws PollAdapterError `SOURCE_FAILED` for an item that is not what the source was said to have */
  readonly changeOf: (item: Item) => Change
}

/**
 * Describes an old source.
 * @throws PollAdapterError `OPTIONS_INVALID`, listing all problems
 */
export function defineSource<Item>(options: SourceOptions<Item>): Source<Item> {
  const problems = optionProblems(options, {
    cursors: oneOf('exact', 'overlap', 'border', 'snapshot'),
    fetch: callable,
    key: callable,
    version: callable,
    isDeleted: callable,
    cursorOf: callable,
    compare: callable,
    overlap: (value) =>
      typeof value === 'function' ||
      (typeof value === 'number' && value >= 0) ||
      'must be a number of at least 0, or a function',
  })
  const given: Partial<Record<string, unknown>> = { ...options }
  const needed = ['cursors', 'fetch', 'key']
  if (options.cursors === 'exact' || options.cursors === 'overlap') needed.push('cursorOf')
  if (options.cursors === 'overlap') needed.push('overlap')
  for (const name of needed) if (given[name] === undefined) problems.push(`${name} is missing`)
  throwProblems('Source', problems)
  const cursorOf = 'cursorOf' in options ? options.cursorOf : undefined
  return {
    fetch: options.fetch,
    cursors: classOf(options),
    changeOf: (item) => {
      try {
        return describe(options, cursorOf, item)
      } catch (error) {
        throw new PollAdapterError(
          'SOURCE_FAILED',
          `An item is not as it should be: ${messageOf(error)}`,
          {
            cause: error,
          },
        )
      }
    },
  }
}

/** The change by which an item is gone that a snapshot does not have any more. */
export function goneChange(key: string): Change {
  return { key, id: changeId(key, undefined, '', true), cursor: undefined, deleted: true, hash: '' }
}

function describe<Item>(
  options: SourceBasics<Item>,
  cursorOf: ((item: Item) => Cursor) | undefined,
  item: Item,
): Change {
  const key = options.key(item)
  if (text(key) !== true) throw new TypeError(`key must answer a text, not ${typeof key}`)
  const cursor = cursorOf?.(item)
  if (cursorOf !== undefined && typeof cursor !== 'string' && !Number.isFinite(cursor)) {
    throw new TypeError(`cursorOf must answer a number or a text, not ${typeof cursor}`)
  }
  const deleted = options.isDeleted?.(item) === true
  const hash = deleted ? '' : contentHash(item)
  return { key, id: changeId(key, options.version?.(item), hash, deleted), cursor, deleted, hash }
}

function classOf<Item>(options: SourceOptions<Item>): CursorClass {
  switch (options.cursors) {
    case 'exact':
      return { kind: 'exact', compare: options.compare ?? compareCursors }
    case 'overlap':
      return {
        kind: 'overlap',
        compare: options.compare ?? compareCursors,
        before: beforeBy(options.overlap),
      }
    case 'border':
    case 'snapshot':
      return { kind: options.cursors }
    default:
      return options satisfies never
  }
}

function beforeBy(overlap: number | ((cursor: Cursor) => Cursor)): (cursor: Cursor) => Cursor {
  if (typeof overlap === 'function') return overlap
  return (cursor) => {
    if (typeof cursor === 'number') return cursor - overlap
    if (/^\d+$/.test(cursor)) {
      const earlier = BigInt(cursor) - BigInt(Math.ceil(overlap))
      return (earlier < 0n ? 0n : earlier).toString()
    }
    const timeMs = Date.parse(cursor)
    if (Number.isNaN(timeMs)) {
      throw new PollAdapterError(
        'SOURCE_FAILED',
        `The cursor ${JSON.stringify(cursor)} is no number and no time; give overlap as a function`,
      )
    }
    return new Date(timeMs - overlap).toISOString()
  }
}
