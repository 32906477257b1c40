import { createHash } from 'node:crypto'
import type { Event } from '@millrace/runtime'
import { type Cursor, formatCursor, parseCursor } from './cursor.ts'
import { changeHeaders } from './headers.ts'

/** One change of one item of a source, whichever way it came. */
export interface Change {
  /** The item that changed. */
  readonly key: string
  /** By what the change is known again: key and version, or key and content hash. */
  readonly id: string
  /** The source's cursor after it; undefined where the source has none for single changes. */
  readonly cursor: Cursor | undefined
  readonly deleted: boolean
  /** What the item looked like, in short; '' when it is gone. */
  readonly hash: string
}

const HASH_BYTES = 12

/** The content of a value in short, the same however its fields are ordered. */
export function contentHash(value: unknown): string {
  return createHash('sha256').update(canonical(value)).digest().toString('base64url', 0, HASH_BYTES)
}

/** The id of a change; without a version the content tells changes apart. */
export function changeId(
  key: string,
  version: number | string | undefined,
  hash: string,
  deleted: boolean,
): string {
  const content = deleted ? '-' : hash
  if (version === undefined) return `${key}#${content}`
  return `${key}@${encodeURIComponent(version)}${deleted ? '-' : ''}`
}

/** The headers under which a change goes into the stream. */
export function headersOf(change: Change): Record<string, string> {
  return {
    [changeHeaders.change]: change.id,
    ...(change.cursor === undefined ? {} : { [changeHeaders.cursor]: formatCursor(change.cursor) }),
    ...(change.deleted ? { [changeHeaders.deleted]: '1' } : {}),
  }
}

/** The change that an event carries; undefined when it carries none. */
export function changeOf(event: Event): Change | undefined {
  const id = event.headers[changeHeaders.change]
  if (id === undefined) return undefined
  const deleted = event.headers[changeHeaders.deleted] === '1'
  return {
    key: keyIn(id),
    id,
    cursor: parseCursor(event.headers[changeHeaders.cursor]),
    deleted,
    hash: deleted ? '' : (hashIn(id) ?? contentHash(event.data)),
  }
}

/** Neither hashes nor encoded versions hold one of the marks. */
function keyIn(id: string): string {
  const end = Math.max(id.lastIndexOf('#'), id.lastIndexOf('@'))
  return end === -1 ? id : id.slice(0, end)
}

const HASH_LENGTH = (HASH_BYTES / 3) * 4

/** An id without a version ends with the content's hash. */
function hashIn(id: string): string | undefined {
  const mark = id.length - HASH_LENGTH - 1
  return mark >= 0 && id[mark] === '#' ? id.slice(mark + 1) : undefined
}

/** JSON with sorted fields. */
function canonical(value: unknown): string {
  return (
    JSON.stringify(value, (_name, part: unknown) => {
      if (typeof part === 'bigint') return `${part}n`
      if (typeof part !== 'object' || part === null || Array.isArray(part)) return part
      return Object.fromEntries(
        Object.entries(part).toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)),
      )
    }) ?? 'undefined'
  )
}
