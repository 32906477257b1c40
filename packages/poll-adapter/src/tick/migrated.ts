import type { EventStream, Millrace } from '@millrace/runtime'
import {
  type BorderSource,
  defineSource,
  type ExactSource,
  type OverlapSource,
  type SnapshotSource,
  type SourceOptions,
} from '../change/source.ts'
import { createPoller, type Poller } from '../migration/poller.ts'
import type { PollerOptions } from '../migration/poller-options.ts'
import type { ResolvedTickLoopOptions } from './options.ts'

/** What a tick loop needs so that it can be moved to an event stream, and back, while it runs. */
export type TickMigration<Item, Data = Item> = MigrationBasics<Item, Data> & SourceShape<Item>

interface MigrationBasics<Item, Data>
  extends Omit<
    PollerOptions<Item, Data>,
    'fetchTimeoutMs' | 'from' | 'handler' | 'intervalMs' | 'name' | 'pageSize' | 'signal' | 'source'
  > {
  readonly millrace: Millrace
  /** The stream that feeds the handler instead. */
  readonly stream: EventStream<never, Data>
  /** Told of an item that a snapshot does not have any more. @defaultValue nobody is told */
  readonly onGone?: (key: string) => unknown
}

/** How the source's cursors behave, and by what its changes are known again. */
type SourceShape<Item> =
  | Omit<BorderSource<Item>, 'fetch'>
  | Omit<ExactSource<Item>, 'fetch'>
  | Omit<OverlapSource<Item>, 'fetch'>
  | Omit<SnapshotSource<Item>, 'fetch'>

const SOURCE_OPTIONS: ReadonlySet<string> = new Set([
  'compare',
  'cursorOf',
  'cursors',
  'isDeleted',
  'key',
  'overlap',
  'version',
])

/**
 * The poller that does what the loop says, in whatever state its migration is.
 * @throws PollAdapterError `OPTIONS_INVALID`, listing all problems
 */
export function migratedPoller<Item, Data>(
  options: ResolvedTickLoopOptions<Item>,
  { millrace, stream, onGone, ...rest }: TickMigration<Item, Data>,
): Poller<Item, Data> {
  const { name, every, fetch, handler, cursor, pageSize, fetchTimeoutMs } = options
  const all = Object.entries(rest)
  const shape = Object.fromEntries(all.filter(([key]) => SOURCE_OPTIONS.has(key)))
  const others = Object.fromEntries(all.filter(([key]) => !SOURCE_OPTIONS.has(key)))
  // The two halves of an object whose type says that they belong together.
  const source = defineSource<Item>({ ...shape, fetch } as SourceOptions<Item>)
  return createPoller<Item, Data>(millrace, stream, {
    ...(others as Partial<PollerOptions<Item, Data>>),
    name,
    source,
    handler: (item, { change, signal: ending }) =>
      item === undefined ? onGone?.(change.key) : handler(item, { signal: ending }),
    from: cursor.load,
    intervalMs: Number(every),
    pageSize,
    fetchTimeoutMs,
  })
}
