import type { BlobReference } from '../blob/reference.ts'

/**
 * One event of an event stream, as a handler or an iterator gets it. The same object is handed to
 * every consumer of the process that reads the stream with the same definition, so it is frozen, and
 * so are the plain objects and arrays of its data.
 */
export interface Event<Data = unknown> {
  /** The id in the Redis Stream: stable over redeliveries, so handlers can be idempotent by it. */
  readonly id: string
  /** The name of the event stream. */
  readonly stream: string
  /** The payload, after the schema's transforms and defaults. */
  readonly data: Data
  /** The type given at publish, if any. */
  readonly type: string | undefined
  /** The key that orders this event among others of its kind, if the stream has keys. */
  readonly key: string | undefined
  /** When the event happened, in milliseconds since 1970: as given at publish, else when Redis stored it. */
  readonly timeMs: number
  /** Headers given at publish, without the `h:` of the wire. */
  readonly headers: Readonly<Record<string, string>>
  /** Opaque: resume a Reader right after this event. Sortable only within one stream incarnation. */
  readonly cursor: string
}

/** What a reader of a stream makes of one stored entry. */
export type Decoded<Data> = Claimed<Data> | Settled<Data>

/** An event, or why there is none. */
export type Settled<Data> =
  | { readonly ok: true; readonly event: Event<Data>; readonly bytes: number }
  | { readonly ok: false; readonly id: string; readonly error: Error; readonly bytes: number }

/** An event whose payload lies in a blob store and is fetched when its turn has come. */
export interface Claimed<Data> {
  readonly ok: 'claimed'
  readonly id: string
  /** The key that orders the event among others of its kind, if the stream has keys. */
  readonly key: string | undefined
  /** The size of the entry, without the payload. */
  readonly bytes: number
  readonly reference: BlobReference
  /** The same object for all who decode with one definition. */
  readonly decoder: object
  /** Decodes and validates the payload; never throws. */
  complete(content: Buffer): Settled<Data> | Promise<Settled<Data>>
}
