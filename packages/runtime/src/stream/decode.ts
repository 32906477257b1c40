import { MOST_CLAIM_BYTES } from '../blob/claim-check.ts'
import { type BlobReference, type RawReference, readReference } from '../blob/reference.ts'
import { messageOf, MillraceError } from '../errors.ts'
import type { EventStream } from './define-stream.ts'
import { type EntryParts, parseEntry, type RawEntry } from './entry.ts'
import type { Claimed, Decoded, Event, Settled } from './event.ts'
import { idTimeMs } from './stream-id.ts'
import { validate } from './validation.ts'

/** Decodes stored entries of one stream definition; a promise only where the schema is asynchronous. */
export type Decode<Data> = (
  entry: RawEntry,
  incarnation: string,
) => Decoded<Data> | Promise<Decoded<Data>>

/** Decoders by schema (or codec, where there is no schema), then by stream and codec. */
const decoders = new WeakMap<object, Map<string, Map<unknown, Decode<unknown>>>>()

/**
 * The decoder of a stream definition: the same one for the same stream, codec and schema, so that an
 * event is decoded once for all who read it with these. It never throws: what cannot be decoded or
 * validated is an answer of its own, for the reader's policy to decide about.
 */
export function decoderOf<Data>(stream: EventStream<never, Data>): Decode<Data> {
  const owner = stream.schema ?? stream.codec
  let byStream = decoders.get(owner)
  if (byStream === undefined) decoders.set(owner, (byStream = new Map()))
  let byCodec = byStream.get(stream.name)
  if (byCodec === undefined) byStream.set(stream.name, (byCodec = new Map()))
  let decode = byCodec.get(stream.codec)
  if (decode === undefined) byCodec.set(stream.codec, (decode = makeDecoder(stream)))
  return decode as Decode<Data>
}

function makeDecoder<Data>(stream: EventStream<never, Data>): Decode<Data> {
  const settle = (
    id: string,
    stored: string | Buffer,
    parts: EntryParts,
    incarnation: string,
  ): Settled<Data> | Promise<Settled<Data>> => {
    try {
      const decoded = stream.codec.decode(stored)
      if (stream.schema === undefined) {
        return accepted(stream.name, id, decoded as Data, parts, incarnation)
      }
      const data = validate(stream.schema, decoded, stream.name)
      return data instanceof Promise
        ? data.then(
            (settled) => accepted(stream.name, id, settled, parts, incarnation),
            (error: unknown) => refused(error, stream.name, id, parts),
          )
        : accepted(stream.name, id, data, parts, incarnation)
    } catch (error) {
      return refused(error, stream.name, id, parts)
    }
  }
  const decode: Decode<Data> = ([id, fields], incarnation) => {
    const parts = parseEntry(fields)
    if (parts.data !== undefined) return settle(id, parts.data, parts, incarnation)
    try {
      return claim(parts, stream, id, decode, (content) => {
        const stored = stream.codec.binary ? content : content.toString('utf8')
        return settle(id, stored, parts, incarnation)
      })
    } catch (error) {
      return refused(error, stream.name, id, parts)
    }
  }
  return decode
}

/** An entry without data, whose payload lies elsewhere. */
function claim<Data>(
  parts: EntryParts,
  stream: EventStream<never, Data>,
  id: string,
  decoder: object,
  settle: (content: Buffer) => Settled<Data> | Promise<Settled<Data>>,
): Claimed<Data> {
  if (parts.blob === undefined) throw new TypeError('the entry has no data field')
  const reference = checkReference(parts.blob, stream.claimCheck?.maxBytes ?? MOST_CLAIM_BYTES)
  return {
    ok: 'claimed',
    id,
    key: parts.key,
    bytes: parts.bytes,
    reference,
    decoder,
    complete(content) {
      try {
        return settle(content)
      } catch (error) {
        return refused(error, stream.name, id, parts)
      }
    },
  }
}

function checkReference(raw: RawReference, maxBytes: number): BlobReference {
  const reference = readReference(raw)
  if (typeof reference === 'string') throw new TypeError(reference)
  if (reference.bytes <= maxBytes) return reference
  throw new MillraceError(
    'PAYLOAD_TOO_LARGE',
    `Its payload of ${reference.bytes} bytes lies in a blob store; at most ${maxBytes} are allowed`,
  )
}

function refused<Data>(
  error: unknown,
  stream: string,
  id: string,
  { bytes }: EntryParts,
): Settled<Data> {
  return { ok: false, id, error: asPayloadError(error, stream, id), bytes }
}

/** A frozen event; a class so that the cursor costs nothing until it is asked for. */
class StoredEvent<Data> implements Event<Data> {
  readonly id: string
  readonly stream: string
  readonly data: Data
  readonly type: string | undefined
  readonly key: string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly timeMs: number
  readonly #incarnation: string

  constructor(stream: string, id: string, data: Data, parts: EntryParts, incarnation: string) {
    this.id = id
    this.stream = stream
    this.data = data
    this.type = parts.type
    this.key = parts.key
    this.headers = parts.headers
    this.timeMs = parts.time === undefined ? idTimeMs(id) : Number(parts.time)
    this.#incarnation = incarnation
    Object.freeze(this)
  }

  get cursor(): string {
    return `${this.#incarnation}.${this.id}`
  }
}

function accepted<Data>(
  stream: string,
  id: string,
  data: Data,
  parts: EntryParts,
  incarnation: string,
): Settled<Data> {
  freezePlain(data)
  return {
    ok: true,
    event: new StoredEvent(stream, id, data, parts, incarnation),
    bytes: parts.bytes,
  }
}

/** Freezes plain objects and arrays in depth; class instances (dates, maps) are left as they are. */
function freezePlain(value: unknown): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return
  if (Array.isArray(value)) {
    for (const item of value) freezePlain(item)
  } else {
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype !== Object.prototype && prototype !== null) return
    for (const name in value) freezePlain(value[name as keyof typeof value])
  }
  Object.freeze(value)
}

function asPayloadError(error: unknown, stream: string, id: string): MillraceError {
  if (error instanceof MillraceError) return error
  return new MillraceError('PAYLOAD_INVALID', `Event ${id} of ${stream}: ${messageOf(error)}`, {
    cause: error,
    stream,
  })
}
