/**
 * Where payloads lie that are too large for an event stream. Keys are texts of segments out of
 * `A–Z a–z 0–9 . _ -`, joined by `/`; they sort by the time at which their blobs may go, so that the store
 * needs no index of ours. The interface is what an object store offers: `put` is a conditional PUT with a
 * length and a checksum, `get` a GET, `list` a listing by prefix.
 *
 * Whatever a method throws counts as the store being out of reach: a publish fails with
 * `BLOB_STORE_FAILED`, a delivery is tried again like a handler that failed. Only a MillraceError with
 * `BLOB_STORE_FULL` is passed on as it is.
 */
export interface BlobStore {
  /** What messages call it, for example `files in /var/lib/blobs`. */
  readonly name: string
  /**
   * Stores a blob that is not there yet. When the promise resolves the whole blob is durable; if it rejects,
   * nothing can be seen under the key.
   */
  put(key: string, content: Uint8Array, options: PutBlobOptions): Promise<void>
  /** The content at once or in pieces; undefined when there is no such blob. */
  get(key: string, options: BlobCallOptions): Promise<BlobContent | undefined>
  /** Removes a blob; does nothing when there is none. */
  delete(key: string, options: BlobCallOptions): Promise<void>
  /** All blobs whose keys begin with the prefix, which ends at a `/`, in ascending order of keys. */
  list(prefix: string, options: BlobCallOptions): AsyncIterable<ListedBlob>
}

export type BlobContent = Uint8Array | AsyncIterable<Uint8Array>

export interface BlobCallOptions {
  /** Fires when nobody waits for the answer any more. */
  readonly signal: AbortSignal
}

export interface PutBlobOptions extends BlobCallOptions {
  /** Of the content, in 64 hexadecimal digits, for stores that check it on arrival. */
  readonly sha256: string
}

export interface ListedBlob {
  readonly key: string
  readonly bytes: number
}

/** For option checks. */
export function isBlobStore(value: unknown): boolean | string {
  const methods = ['put', 'get', 'delete', 'list']
  return (
    (typeof value === 'object' &&
      value !== null &&
      methods.every((method) => typeof Reflect.get(value, method) === 'function')) ||
    `must have ${methods.join(', ')}`
  )
}

const KEY_PATTERN = /^[A-Za-z0-9._-]{1,200}(\/[A-Za-z0-9._-]{1,200}){0,7}$/

/** Whether a text may be the key of a blob; entries of others may name anything. */
export function isBlobKey(key: string): boolean {
  return KEY_PATTERN.test(key) && !key.split('/').some((part) => /^\.+$/.test(part))
}
