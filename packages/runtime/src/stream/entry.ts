import { blobFields, type RawReference } from '../blob/reference.ts'

/**
 * The names of an entry's fields in Redis. They are plain so that other languages can take part with
 * bare Redis commands; `docs/wire-format.md` explains them.
 */
export const entryFields = {
  data: 'data',
  type: 'type',
  key: 'key',
  time: 'time',
  headerPrefix: 'h:',
} as const

/** One entry as ioredis gives it: id and alternating field names and values. */
export type RawEntry = readonly [id: string, fields: readonly (string | Buffer)[]]

/** The parts of an entry, not yet decoded. */
export interface EntryParts {
  readonly data: string | Buffer | undefined
  readonly type: string | undefined
  readonly key: string | undefined
  readonly time: string | undefined
  readonly headers: Readonly<Record<string, string>>
  /** Where the payload lies, when it does not lie in the entry. */
  readonly blob: RawReference | undefined
  /** The size of all names and values, in bytes as far as strings tell. */
  readonly bytes: number
}

/** One header of a stored entry, without decoding the entry; undefined when it has none of that name. */
export function headerOf([, fields]: RawEntry, name: string): string | undefined {
  const wanted = entryFields.headerPrefix + name
  // Of a repeated one the last counts.
  for (let i = fields.length - 2; i >= 0; i -= 2) {
    if (String(fields[i]) === wanted) return String(fields[i + 1])
  }
  return undefined
}

const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({})

/** Reads the fields of an entry; unknown ones are ignored, of a repeated one the last counts. */
export function parseEntry(fields: readonly (string | Buffer)[]): EntryParts {
  let data: string | Buffer | undefined
  let type: string | undefined
  let key: string | undefined
  let time: string | undefined
  let headers: Record<string, string> | undefined
  let blob: RawReference | undefined
  let bytes = 0
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const value = fields[i + 1] as string | Buffer
    const name = String(fields[i])
    bytes += name.length + value.length
    if (name === entryFields.data) data = value
    else if (name === entryFields.key) key = String(value)
    else if (name === entryFields.type) type = String(value)
    else if (name === entryFields.time) time = String(value)
    else if (name.startsWith(entryFields.headerPrefix)) {
      headers ??= {}
      headers[name.slice(entryFields.headerPrefix.length)] = String(value)
    } else if (name.startsWith(blobFields.key)) {
      blob ??= { key: '', bytes: '', sha256: '' }
      if (name === blobFields.key) blob.key = String(value)
      else if (name === blobFields.bytes) blob.bytes = String(value)
      else if (name === blobFields.sha256) blob.sha256 = String(value)
    }
  }
  return { data, type, key, time, headers: headers ?? NO_HEADERS, blob, bytes }
}

/** What publish puts beside the payload. */
export interface EntryExtras {
  readonly type?: string | undefined
  readonly key?: string | undefined
  readonly timeMs?: number | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/** The fields of a new entry, data first. */
export function buildEntry(data: string | Uint8Array, extras: EntryExtras): (string | Buffer)[] {
  const fields: (string | Buffer)[] = [
    entryFields.data,
    typeof data === 'string' ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength),
  ]
  if (extras.key !== undefined) fields.push(entryFields.key, extras.key)
  if (extras.type !== undefined) fields.push(entryFields.type, extras.type)
  if (extras.timeMs !== undefined) fields.push(entryFields.time, String(extras.timeMs))
  if (extras.headers !== undefined) {
    for (const [name, value] of Object.entries(extras.headers)) {
      fields.push(entryFields.headerPrefix + name, value)
    }
  }
  return fields
}

/** The size of an entry's names and values, in bytes. */
export function entryBytes(fields: readonly (string | Buffer)[]): number {
  let bytes = 0
  for (const field of fields) {
    bytes += typeof field === 'string' ? Buffer.byteLength(field) : field.length
  }
  return bytes
}
