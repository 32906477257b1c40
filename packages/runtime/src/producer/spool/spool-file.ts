import { constants, copyFileSync, existsSync, rmSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'
import { MillraceError } from '../../errors.ts'
import { Mark } from './mark.ts'
import { contentChecksum, numberingChecksum, type SpooledBatch } from './spooled-batch.ts'
import { fromSqlite, isLocked } from './sqlite-errors.ts'
import {
  COLUMNS,
  damageOf,
  damaged,
  type FileFacts,
  type Heading,
  headingChecksum,
} from './verify.ts'

/** Whose events a file holds. */
export interface SpoolIdentity {
  readonly producerId: string
  /** The key of the event stream in Redis. */
  readonly stream: string
}

/** What changes in a file, in one transaction, in this order. */
export interface SpoolCommit {
  readonly epoch: string
  /** Batches up to this position are in the stream, and go. */
  readonly removeThrough: number
  /** Whether what remains gets sequences from 1 on, because the epoch is new. */
  readonly renumber: boolean
  readonly append: readonly SpooledBatch[]
}

/** What a transaction has left. */
export interface CommitFacts {
  readonly removedEvents: number
  readonly removedBytes: number
  /** When the oldest batch was spooled, in milliseconds since 1970; undefined when there is none. */
  readonly oldestAtMs: number | undefined
  /** The sequence behind the last batch; undefined when there is none. */
  readonly nextFirst: number | undefined
}

/** Another process is given this long to see that a new file is empty and not its business. */
const CREATION_LOCK_MS = 5_000

/**
 * One spool file: a SQLite database under an exclusive lock, which the operating system lets go when the
 * process ends, however it ends. Everything here blocks until it is on disk, so it runs in a thread.
 */
export class SpoolFile {
  readonly path: string
  readonly #db: DatabaseSync
  readonly #mark: Mark
  readonly #identity: SpoolIdentity
  #heading: Heading

  private constructor(path: string, db: DatabaseSync, identity: SpoolIdentity, heading: Heading) {
    this.path = path
    this.#db = db
    this.#mark = new Mark(path)
    this.#identity = identity
    this.#heading = heading
  }

  /** Creates a file; undefined when somebody took the empty file away before it was locked. */
  static create(path: string, identity: SpoolIdentity, epoch: string): SpoolFile | undefined {
    const db = new DatabaseSync(path, { timeout: CREATION_LOCK_MS })
    try {
      lock(db)
      const heading: Heading = { epoch, removed: 0, appended: 0 }
      const file = new SpoolFile(path, db, identity, heading)
      transaction(db, () => {
        db.exec(SCHEMA)
        file.#writeHeading(heading)
      })
      file.#mark.write(0)
      // The schema leaves the log, so that a damaged log cannot make the file look like a new one.
      db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
      if (existsSync(path)) return file
      db.close()
      return undefined
    } catch (error) {
      db.close()
      throw fromSqlite(path, error)
    }
  }

  /**
   * Takes over the file of a process that has ended, and checks every byte of it that counts.
   * @throws MillraceError `SPOOL_CORRUPT`; the file stays as it is
   */
  static adopt(
    path: string,
    identity: SpoolIdentity,
  ): { file: SpoolFile; facts: FileFacts } | 'in-use' | 'nothing' {
    const url = pathToFileURL(path)
    url.searchParams.set('mode', 'rw')
    let db: DatabaseSync
    try {
      db = new DatabaseSync(url, { timeout: 0 })
    } catch (error) {
      // Whoever had it has sent everything and removed it.
      if (!existsSync(path)) return 'nothing'
      throw fromSqlite(path, error)
    }
    try {
      lock(db)
      if (isUntouched(db) && new Mark(path).read() === 0) {
        removeFiles(path)
        db.close()
        return 'nothing'
      }
      const found = damageOf(db, identity, new Mark(path).read())
      if ('damage' in found) {
        keepLog(path)
        throw damaged(path, found.damage, found.readable)
      }
      return { file: new SpoolFile(path, db, identity, found.heading), facts: found.facts }
    } catch (error) {
      db.close()
      if (isLocked(error)) return 'in-use'
      throw fromSqlite(path, error)
    }
  }

  /** All of it or nothing; on disk when this returns. */
  commit({ epoch, removeThrough, renumber, append }: SpoolCommit): CommitFacts {
    const db = this.#db
    const removed = Math.max(this.#heading.removed, removeThrough)
    const appended = Math.max(removed, append.at(-1)?.position ?? this.#heading.appended)
    const heading: Heading = { epoch, removed, appended }
    const facts = this.#attempt(() =>
      transaction(db, () => {
        const gone = db.prepare(GONE).get(heading.removed)
        db.prepare('DELETE FROM batches WHERE position <= ?').run(heading.removed)
        if (renumber) this.#renumber(epoch)
        this.#append(epoch, append)
        this.#writeHeading(heading)
        return { gone, left: db.prepare(LEFT).get() }
      }),
    )
    this.#heading = heading
    if (append.length > 0) this.#mark.write(appended)
    return {
      removedEvents: Number(facts.gone?.['events']),
      removedBytes: Number(facts.gone?.['bytes']),
      oldestAtMs: wholeOrNothing(facts.left?.['oldestAtMs']),
      nextFirst: wholeOrNothing(facts.left?.['nextFirst']),
    }
  }

  /** Batches behind this position, in order, until one of the bounds is reached. */
  read(after: number, mostBatches: number, mostBytes: number): SpooledBatch[] {
    return this.#attempt(() => {
      const batches: SpooledBatch[] = []
      let bytes = 0
      const rows = this.#db
        .prepare(`SELECT ${COLUMNS} FROM batches WHERE position > ? ORDER BY position LIMIT ?`)
        .iterate(after, mostBatches)
      for (const row of rows) {
        const batch = row as unknown as SpooledBatch & { readonly content: number }
        if (contentChecksum(batch) !== batch.content)
          throw damaged(this.path, `batch ${batch.position} has changed since it was written`)
        const { position, first, count, atMs, events } = batch
        batches.push({ position, first, count, bytes: batch.bytes, atMs, events })
        bytes += batch.bytes
        if (bytes >= mostBytes) break
      }
      return batches
    })
  }

  /** Lets go of the file; it is removed when nothing is left in it. */
  close(): void {
    this.#attempt(() => {
      const isEmpty = this.#heading.removed === this.#heading.appended
      if (isEmpty) {
        this.#mark.remove()
        removeFiles(this.path)
      }
      this.#mark.close()
      this.#db.close()
    })
  }

  #renumber(epoch: string): void {
    const rows = this.#db.prepare('SELECT position, count FROM batches ORDER BY position').all()
    const update = this.#db.prepare(
      'UPDATE batches SET first = ?, numbering = ? WHERE position = ?',
    )
    let first = 1
    for (const { position, count } of rows as unknown as SpooledBatch[]) {
      update.run(first, numberingChecksum(epoch, position, first), position)
      first += count
    }
  }

  #append(epoch: string, batches: readonly SpooledBatch[]): void {
    const insert = this.#db.prepare('INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?, ?, ?)')
    let last = this.#db
      .prepare('SELECT first + count AS next FROM batches ORDER BY position DESC LIMIT 1')
      .get()?.['next'] as number | undefined
    for (const batch of batches) {
      const { position, first, count, bytes, atMs, events } = batch
      if (last !== undefined && last !== first)
        throw new MillraceError('INTERNAL', `sequence ${first} is spooled, but ${last} is next`)
      const content = contentChecksum(batch)
      const numbering = numberingChecksum(epoch, position, first)
      insert.run(position, first, count, bytes, atMs, events, content, numbering)
      last = first + count
    }
  }

  #writeHeading(heading: Heading): void {
    const { epoch, removed, appended } = heading
    const { producerId, stream } = this.#identity
    this.#db
      .prepare('INSERT OR REPLACE INTO heading VALUES (1, 1, ?, ?, ?, ?, ?, ?)')
      .run(producerId, stream, epoch, removed, appended, headingChecksum(this.#identity, heading))
  }

  #attempt<T>(work: () => T): T {
    try {
      return work()
    } catch (error) {
      throw fromSqlite(this.path, error)
    }
  }
}

const SCHEMA = `
CREATE TABLE heading (
  id INTEGER PRIMARY KEY, format INTEGER NOT NULL, producer TEXT NOT NULL, stream TEXT NOT NULL,
  epoch TEXT NOT NULL, removed INTEGER NOT NULL, appended INTEGER NOT NULL, checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE batches (
  position INTEGER PRIMARY KEY, first INTEGER NOT NULL, count INTEGER NOT NULL,
  bytes INTEGER NOT NULL, atMs INTEGER NOT NULL, events TEXT NOT NULL,
  content INTEGER NOT NULL, numbering INTEGER NOT NULL
) STRICT;
`

const GONE = `
SELECT coalesce(sum(count), 0) AS events, coalesce(sum(bytes), 0) AS bytes
FROM batches WHERE position <= ?
`
const LEFT = `
SELECT (SELECT atMs FROM batches ORDER BY position LIMIT 1) AS oldestAtMs,
  (SELECT first + count FROM batches ORDER BY position DESC LIMIT 1) AS nextFirst
`

function wholeOrNothing(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined
}

/** Takes the lock, which is held until the file is closed, and makes every commit wait for the disk. */
function lock(db: DatabaseSync): void {
  db.exec('PRAGMA locking_mode = EXCLUSIVE')
  db.exec('PRAGMA journal_mode = WAL')
  db.exec('PRAGMA synchronous = FULL')
  db.exec('PRAGMA fullfsync = ON')
  db.exec('BEGIN IMMEDIATE; COMMIT')
}

function transaction<T>(db: DatabaseSync, work: () => T): T {
  db.exec('BEGIN IMMEDIATE')
  try {
    const result = work()
    db.exec('COMMIT')
    return result
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK')
    throw error
  }
}

/** A file whose maker died, or has not come to it, before it wrote anything. */
function isUntouched(db: DatabaseSync): boolean {
  return db.prepare('SELECT count(*) AS tables FROM sqlite_schema').get()?.['tables'] === 0
}

/** Closing the database drops what it could not read of its log; whoever rescues the file wants it. */
function keepLog(path: string): void {
  const log = `${path}-wal`
  const kept = `${path}.damaged-wal`
  if (existsSync(log) && !existsSync(kept)) copyFileSync(log, kept, constants.COPYFILE_EXCL)
}

function removeFiles(path: string): void {
  for (const suffix of ['.mark', '']) rmSync(path + suffix, { force: true })
}
