import { isMillraceError, messageOf, MillraceError } from '../errors.ts'
import type { Connections } from '../connection/connections.ts'
import type { Clock } from '../lifecycle/clock.ts'
import { abortable, throwIfAborted } from '../lifecycle/signals.ts'
import type { StreamKeys } from '../stream/keys.ts'
import { newBlobKey, newNamespace } from './blob-key.ts'
import type { BlobStore } from './blob-store.ts'
import { type BlobPlace, blobPlace } from './place-script.ts'
import { type BlobReference, sha256Of } from './reference.ts'

/** How many payloads one process stores at once. */
const AT_ONCE = 4
/** For how long it is known what time it is at the server, by our own monotonic clock. */
const PLACE_KNOWN_MS = 60_000

export interface UploadRequest {
  readonly keys: StreamKeys
  /** The name of the event stream. */
  readonly stream: string
  readonly content: Uint8Array
  /** How long from now the event may still be on its way to the stream, in milliseconds. */
  readonly mostDelayMs: number
  readonly signal: AbortSignal
}

/** Stores payloads before their events are published. */
export class Uploads {
  readonly #store: BlobStore | undefined
  readonly #connections: Connections
  readonly #clock: Clock
  readonly #places = new Map<string, KnownPlace>()
  readonly #waiting: (() => void)[] = []
  #running = 0

  constructor(store: BlobStore | undefined, connections: Connections, clock: Clock) {
    this.#store = store
    this.#connections = connections
    this.#clock = clock
  }

  /** @throws MillraceError `BLOB_STORE_ABSENT` */
  assertStore(stream: string, bytes: number): void {
    if (this.#store !== undefined) return
    throw new MillraceError(
      'BLOB_STORE_ABSENT',
      `A payload of ${stream} has ${bytes} bytes and belongs into a blob store, and this connection has none`,
      { stream },
    )
  }

  /**
   * Resolves when the payload is durable in the store.
   * @throws MillraceError `BLOB_STORE_FULL`, `BLOB_STORE_FAILED`, `BLOB_STORE_ABSENT`, `ABORTED`
   */
  async upload(request: UploadRequest): Promise<BlobReference> {
    const { signal, content, stream } = request
    while (this.#running >= AT_ONCE) await this.#turn()
    this.#running++
    try {
      this.assertStore(stream, content.length)
      throwIfAborted(signal, 'Storing a payload')
      const place = await this.#placeOf(request)
      const key = newBlobKey(place.namespace, place.nowMs + request.mostDelayMs)
      const sha256 = await sha256Of(content)
      throwIfAborted(signal, 'Storing a payload')
      await abortable(this.#put(key, content, sha256, signal), signal, 'Storing a payload')
      return { key, bytes: content.length, sha256 }
    } finally {
      this.#running--
      this.#waiting.shift()?.()
    }
  }

  async #put(key: string, content: Uint8Array, sha256: string, signal: AbortSignal): Promise<void> {
    const store = this.#store
    try {
      await store?.put(key, content, { sha256, signal })
    } catch (error) {
      if (isMillraceError(error, 'BLOB_STORE_FULL')) throw error
      throw new MillraceError(
        'BLOB_STORE_FAILED',
        `The blob ${key} could not be stored in ${store?.name ?? ''}: ${messageOf(error)}`,
        { cause: error },
      )
    }
  }

  /** Resolves when somebody is done; whoever has given up meanwhile passes on at once. */
  #turn(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiting.push(resolve)
    return promise
  }

  /** The server's time is asked for now and then; while Redis is away it goes on by our own clock. */
  async #placeOf({ keys, stream, signal }: UploadRequest): Promise<BlobPlace> {
    const known = this.#places.get(keys.stream)
    const nowMs = this.#clock.monotonicMs()
    if (known !== undefined && nowMs - known.atMs < PLACE_KNOWN_MS) return later(known, nowMs)
    const wallMs = Date.now()
    try {
      const place = await this.#connections.call(
        'data',
        keys.tag,
        (session) => blobPlace(session, keys, newNamespace(stream)),
        { signal, ...(known === undefined ? {} : { deadlineMs: PATIENCE_MS }) },
      )
      // As of the asking: a time that is too late keeps a blob for longer, one that is too early not.
      const found = { place, atMs: nowMs, wallMs }
      this.#places.set(keys.stream, found)
      return later(found, this.#clock.monotonicMs())
    } catch (error) {
      if (known === undefined || !isMillraceError(error, 'UNAVAILABLE')) throw error
      return later(known, this.#clock.monotonicMs())
    }
  }
}

/** How long a producer that knows its place waits to hear the time again. */
const PATIENCE_MS = 1_000

/** Where blobs belong, and when that was asked, by our two clocks. */
interface KnownPlace {
  readonly place: BlobPlace
  readonly atMs: number
  readonly wallMs: number
}

/** The monotonic clock stands still while a host sleeps, the other one may be set back: the later counts. */
function later({ place, atMs, wallMs }: KnownPlace, nowMs: number): BlobPlace {
  const elapsedMs = Math.max(nowMs - atMs, Date.now() - wallMs)
  return { namespace: place.namespace, nowMs: place.nowMs + elapsedMs }
}
