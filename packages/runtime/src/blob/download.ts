import { isMillraceError, messageOf, MillraceError } from '../errors.ts'
import type { BlobContent, BlobStore } from './blob-store.ts'
import { type BlobReference, sha256Of } from './reference.ts'

/**
 * Fetches a payload and makes sure that it is the one that was stored.
 * @throws MillraceError `BLOB_MISSING`, `BLOB_CORRUPT`; `BLOB_STORE_FAILED` when the store is out of reach
 */
export async function download(
  store: BlobStore,
  { key, bytes, sha256 }: BlobReference,
  signal: AbortSignal,
): Promise<Buffer> {
  const content = await ask(store, key, () => store.get(key, { signal }))
  if (content === undefined) {
    throw new MillraceError('BLOB_MISSING', `There is no blob ${key} in ${store.name}`)
  }
  const whole = await ask(store, key, () => gather(content, bytes))
  if (whole === undefined) {
    throw new MillraceError('BLOB_CORRUPT', `The blob ${key} is not of ${bytes} bytes`)
  }
  if ((await sha256Of(whole)) !== sha256) {
    throw new MillraceError('BLOB_CORRUPT', `The blob ${key} has another SHA-256 than ${sha256}`)
  }
  return whole
}

/** Whether the payload itself is at fault, rather than the way to it. */
export function isUnusable(error: unknown): boolean {
  return isMillraceError(error) && UNUSABLE.has(error.code)
}

const UNUSABLE: ReadonlySet<string> = new Set([
  'BLOB_CORRUPT',
  'BLOB_MISSING',
  'BLOB_STORE_ABSENT',
  'PAYLOAD_INVALID',
  'PAYLOAD_TOO_LARGE',
])

/** Reads no more than was promised; undefined when it is more or less. */
async function gather(content: BlobContent, bytes: number): Promise<Buffer | undefined> {
  if (content instanceof Uint8Array) {
    if (content.length !== bytes) return undefined
    return Buffer.from(content.buffer, content.byteOffset, content.byteLength)
  }
  const pieces: Uint8Array[] = []
  let length = 0
  for await (const piece of content) {
    length += piece.length
    if (length > bytes) return undefined
    pieces.push(piece)
  }
  return length === bytes ? Buffer.concat(pieces, bytes) : undefined
}

/** Whatever a store throws means that it could not be asked. */
async function ask<T>(store: BlobStore, key: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw new MillraceError(
      'BLOB_STORE_FAILED',
      `The blob ${key} could not be fetched from ${store.name}: ${messageOf(error)}`,
      { cause: error },
    )
  }
}
