import { openPostgresTable } from './postgres-table.ts'
import { openSqliteTable } from './sqlite-table.ts'

export interface EventRow {
  readonly id: number
  /** JSON, which goes out as it is. */
  readonly body: string
}

/** The table over which services have a poll API today; the cursor is its primary key. */
export interface EventTable {
  insert(body: string): Promise<void>
  after(cursor: number, limit: number): Promise<readonly EventRow[]>
  /** The processes of the database that work for this connection; none where it is in this process. */
  readonly pids: readonly number[]
}

/** The API, which is there first and finds the table empty, or whoever writes the events. */
export type Role = 'api' | 'writer'

/** Opens the table in a file of SQLite, or in PostgreSQL where the database is the URL of one. */
export async function openEventTable(database: string, role: Role): Promise<EventTable> {
  return /^postgres(ql)?:/.test(database)
    ? await openPostgresTable(database, role)
    : openSqliteTable(database)
}
