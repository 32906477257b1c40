import { DatabaseSync } from 'node:sqlite'
import type { EventRow, EventTable } from './event-table.ts'

/**
 * Readers and the writer do not wait for one another, and a poll reads only what it answers. Every run has a
 * file of its own, so there is nothing to empty.
 */
export function openSqliteTable(path: string): EventTable {
  const database = new DatabaseSync(path, { timeout: 5_000 })
  database.exec('PRAGMA journal_mode = WAL')
  database.exec('PRAGMA synchronous = NORMAL')
  database.exec('CREATE TABLE IF NOT EXISTS events (id INTEGER PRIMARY KEY, body TEXT NOT NULL)')
  const insert = database.prepare('INSERT INTO events (body) VALUES (?)')
  const select = database.prepare('SELECT id, body FROM events WHERE id > ? ORDER BY id LIMIT ?')
  return {
    insert(body) {
      insert.run(body)
      return Promise.resolve()
    },
    after: (cursor, limit) =>
      Promise.resolve(select.all(cursor, limit) as unknown as readonly EventRow[]),
    pids: [],
  }
}
