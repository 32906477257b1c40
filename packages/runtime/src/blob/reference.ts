import { isBlobKey } from './blob-store.ts'

/** The fields of an entry whose payload lies in a blob store; it then has no `data`. */
export const blobFields = {
  key: 'blob',
  bytes: 'blob:bytes',
  sha256: 'blob:sha256',
} as const

/** What an event in the stream says about its payload elsewhere. */
export interface BlobReference {
  /** The key of the blob in the store. */
  readonly key: string
  /** The size of the payload, in bytes. */
  readonly bytes: number
  /** The SHA-256 of the payload, in 64 hexadecimal digits. */
  readonly sha256: string
}

/** The reference as it stands in an entry, not yet checked. */
export interface RawReference {
  key: string
  bytes: string
  sha256: string
}

/** Answers what is wrong with the reference instead, when something is: anybody may have written it. */
export function readReference(raw: RawReference): BlobReference | string {
  const { key, sha256 } = raw
  const bytes = Number(raw.bytes)
  if (!isBlobKey(key)) return 'blob is not a key of a blob'
  if (!/^\d{1,15}$/.test(raw.bytes)) return 'blob:bytes is not a number of bytes'
  if (!/^[0-9a-f]{64}$/.test(sha256)) return 'blob:sha256 is not a SHA-256 in 64 hexadecimal digits'
  return { key, bytes, sha256 }
}

/** SHA-256 in hexadecimal digits, worked out beside the event loop: a large payload takes a while. */
export async function sha256Of(content: Uint8Array): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', content)
  return Buffer.from(digest).toString('hex')
}
