import { DatabaseSync } from 'node:sqlite'

/**
 * Opens the table of events in a file, creating it where it is missing. Readers and the writer do not
 * wait for one another, and the cursor is the primary key, so that a poll reads only what it answers.
 */
export function openEventTable(path: string): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: 5_000 })
  database.exec('PRAGMA journal_mode = WAL')
  database.exec('PRAGMA synchronous = NORMAL')
  database.exec('CREATE TABLE IF NOT EXISTS events (id INTEGER PRIMARY KEY, body TEXT NOT NULL)')
  return database
}
