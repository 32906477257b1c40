import type { Cursor } from '../change/cursor.ts'
import {
  type BorderSource,
  defineSource,
  type ExactSource,
  type OverlapSource,
  type SnapshotSource,
  type Source,
} from '../change/source.ts'

/** How rows are asked for, whatever the driver. */
interface SqlQuery<Row> {
  /** Runs one query of the database at hand. */
  readonly query: (
    sql: string,
    params: readonly unknown[],
    context: { readonly signal: AbortSignal },
  ) => Promise<readonly Row[]> | readonly Row[]
  /** A SELECT of what is after a cursor, in the order of the cursors, with a limit. */
  readonly sql: string
  /** The parameters of the SELECT; the cursor is undefined at the very beginning. */
  readonly params: (cursor: Cursor | undefined, limit: number) => readonly unknown[]
}

export type SqlSourceOptions<Row> = SqlQuery<Row> &
  (
    | Omit<BorderSource<Row>, 'fetch'>
    | Omit<ExactSource<Row>, 'fetch'>
    | Omit<OverlapSource<Row>, 'fetch'>
    | Omit<SnapshotSource<Row>, 'fetch'>
  )

/**
 * A table or view. Times and serial numbers are given before the commit, so their class is `overlap`, with an
 * overlap longer than the longest transaction; `exact` is only what the database gives at commit.
 * @throws PollAdapterError `OPTIONS_INVALID`
 */
export function sqlSource<Row>({
  query,
  sql,
  params,
  ...source
}: SqlSourceOptions<Row>): Source<Row> {
  return defineSource<Row>({
    ...source,
    fetch: async (cursor, { signal, limit }) => ({
      items: await query(sql, params(cursor, limit), { signal }),
    }),
  })
}
