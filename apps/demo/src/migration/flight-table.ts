import { DatabaseSync } from 'node:sqlite'
import type { FlightUpdate } from '../flights/flight-updates.ts'

/** One row of the flight system's table, as the old API answers it. */
export interface FlightRow {
  readonly sequence: number
  readonly publishedAtMs: number
  readonly update: FlightUpdate
}

/** As the database has it. */
interface StoredRow {
  readonly sequence: number
  readonly publishedAtMs: number
  readonly body: string
}

/**
 * The flight system's own database: one process writes into it, one row at a time, so that its sequence
 * numbers are in the order of the commits.
 */
export class FlightTable implements Disposable {
  readonly #database: DatabaseSync
  readonly #insert
  readonly #after

  constructor(path: string) {
    this.#database = new DatabaseSync(path)
    this.#database.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA busy_timeout = 5000;
      CREATE TABLE IF NOT EXISTS flights (
        sequence INTEGER PRIMARY KEY, publishedAtMs REAL NOT NULL, body TEXT NOT NULL);
    `)
    this.#insert = this.#database.prepare(
      'INSERT INTO flights (sequence, publishedAtMs, body) VALUES (?, ?, ?)',
    )
    this.#after = this.#database.prepare(AFTER)
  }

  insert(rows: readonly FlightRow[]): void {
    this.#database.exec('BEGIN')
    for (const { sequence, publishedAtMs, update } of rows) {
      this.#insert.run(sequence, publishedAtMs, JSON.stringify(update))
    }
    this.#database.exec('COMMIT')
  }

  after(sequence: number, limit: number): FlightRow[] {
    const stored = this.#after.all(sequence, limit) as unknown as StoredRow[]
    return stored.map(({ sequence: number, publishedAtMs, body }) => ({
      sequence: number,
      publishedAtMs,
      update: JSON.parse(body) as FlightUpdate,
    }))
  }

  [Symbol.dispose](): void {
    this.#database.close()
  }
}

const AFTER = `
  SELECT sequence, publishedAtMs, body FROM flights WHERE sequence > ? ORDER BY sequence LIMIT ?`
