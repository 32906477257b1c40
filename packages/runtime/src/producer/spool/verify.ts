import type { DatabaseSync } from 'node:sqlite'
import { crc32 } from 'node:zlib'
import { messageOf, MillraceError } from '../../errors.ts'
import { contentChecksum, numberingChecksum, type SpooledBatch } from './spooled-batch.ts'
import type { SpoolIdentity } from './spool-file.ts'
import { isDamage, isLocked } from './sqlite-errors.ts'

/** By name: a name that has changed in the file must not go unnoticed. */
export const COLUMNS: string = 'position, first, count, bytes, atMs, events, content, numbering'

/** The state of a file as a whole. Its batches are exactly those in (removed, appended]. */
export interface Heading {
  readonly epoch: string
  readonly removed: number
  readonly appended: number
}

/** What an adopted file holds. */
export interface FileFacts {
  readonly path: string
  readonly epoch: string
  readonly removed: number
  readonly appended: number
  /** The sequence of the first event in it. */
  readonly first: number
  readonly batches: number
  readonly events: number
  readonly bytes: number
  /** When the oldest was spooled, in milliseconds since 1970; undefined in an empty file. */
  readonly oldestAtMs: number | undefined
}

/** What of a damaged file could be read. */
export interface Readable {
  readonly batches: number
  readonly events: number
}

export function headingChecksum(identity: SpoolIdentity, heading: Heading): number {
  const { epoch, removed, appended } = heading
  return crc32(`${identity.producerId} ${identity.stream} ${epoch} ${removed} ${appended}`)
}

/** Looks at every batch; answers what the file holds, or what is wrong with it. */
export function damageOf(
  db: DatabaseSync,
  identity: SpoolIdentity,
  mark: number,
): { heading: Heading; facts: FileFacts } | { damage: string; readable: Readable } {
  const counted = { batches: 0, events: 0, bytes: 0 }
  try {
    const heading = headingOf(db, identity)
    let first = 0
    let next: number | undefined
    let oldestAtMs: number | undefined
    let position = heading.removed
    let damage: string | undefined
    for (const row of db.prepare(`SELECT ${COLUMNS} FROM batches ORDER BY position`).iterate()) {
      const batch = row as unknown as SpooledBatch & { content: number; numbering: number }
      const wrong = wrongWith(heading.epoch, batch, ++position, next)
      damage ??= wrong
      next = batch.first + batch.count
      // What stands behind damage is counted as well: it tells what a rescue can bring.
      if (contentChecksum(batch) !== batch.content) continue
      if (counted.batches++ === 0) first = batch.first
      counted.events += batch.count
      counted.bytes += batch.bytes
      oldestAtMs = Math.min(oldestAtMs ?? batch.atMs, batch.atMs)
    }
    if (position !== heading.appended)
      damage ??= `it ends at batch ${position} and should at ${heading.appended}`
    if (mark > heading.appended)
      damage ??= `${mark - heading.appended} batches at its end are missing`
    damage ??= structuralDamage(db)
    if (damage !== undefined) return { damage, readable: counted }
    return { heading, facts: { path: '', ...heading, first, ...counted, oldestAtMs } }
  } catch (error) {
    if (isLocked(error) || !(isDamage(error) || isUnreadable(error))) throw error
    return { damage: messageOf(error), readable: counted }
  }
}

export function damaged(path: string, damage: string, readable?: Readable): MillraceError {
  const rest =
    readable === undefined
      ? ''
      : ` ${readable.events} events in ${readable.batches} batches could still be read.`
  return new MillraceError(
    'SPOOL_CORRUPT',
    `The spool file ${path} is damaged: ${damage}.${rest} Nothing of it was sent, and it was kept.`,
  )
}

function headingOf(db: DatabaseSync, identity: SpoolIdentity): Heading {
  const row = db
    .prepare('SELECT epoch, removed, appended, checksum FROM heading WHERE id = 1')
    .get()
  if (row === undefined) throw new UnreadableError('its heading is missing')
  const heading: Heading = {
    epoch: String(row['epoch']),
    removed: Number(row['removed']),
    appended: Number(row['appended']),
  }
  if (headingChecksum(identity, heading) !== row['checksum'])
    throw new UnreadableError('its heading has changed since it was written')
  return heading
}

function wrongWith(
  epoch: string,
  batch: SpooledBatch & { content: number; numbering: number },
  position: number,
  next: number | undefined,
): string | undefined {
  if (batch.position !== position) return `batch ${position} is missing`
  if (contentChecksum(batch) !== batch.content)
    return `batch ${position} has changed since it was written`
  if (
    numberingChecksum(epoch, position, batch.first) !== batch.numbering ||
    (next !== undefined && next !== batch.first)
  )
    return `the sequence of batch ${position} is not what it was`
  return undefined
}

function structuralDamage(db: DatabaseSync): string | undefined {
  const verdict: unknown = db.prepare('PRAGMA integrity_check(1)').get()?.['integrity_check']
  return verdict === 'ok' ? undefined : String(verdict)
}

class UnreadableError extends Error {}

/** Ours, or a statement that fails because a table is not there or not what it was. */
function isUnreadable(error: unknown): boolean {
  if (error instanceof UnreadableError) return true
  return error instanceof Error && Reflect.get(error, 'code') === 'ERR_SQLITE_ERROR'
}
