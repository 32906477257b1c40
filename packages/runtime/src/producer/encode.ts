import { claimedEvent } from '../blob/claimed-event.ts'
import { messageOf, MillraceError } from '../errors.ts'
import type { EventStream } from '../stream/define-stream.ts'
import { buildEntry, entryBytes, entryFields } from '../stream/entry.ts'
import type { PublishOptions } from './options.ts'
import type { PublishCall } from './publish-call.ts'

/** An event as it goes to Redis, and the call that waits for it. */
export interface OutgoingEvent {
  readonly call: PublishCall
  /** Its place in the call. */
  readonly index: number
  readonly idempotencyKey: string | undefined
  /** The fields' names; the same array for events with the same fields, wherever that is cheap. */
  readonly names: readonly string[]
  readonly values: readonly (string | Buffer)[]
  readonly bytes: number
}

const DATA: readonly string[] = [entryFields.data]
const DATA_BYTES = entryFields.data.length
const DATA_AND_KEY: readonly string[] = [entryFields.data, entryFields.key]
const KEY_BYTES = entryFields.key.length

/**
 * Encodes one input as the stream stores it: as given, not as its schema transforms it.
 * @throws MillraceError `PAYLOAD_INVALID` or `PAYLOAD_TOO_LARGE`
 */
export function encode<Input>(
  stream: EventStream<Input, unknown>,
  input: Input,
  extras: Extras | undefined,
  call: PublishCall,
  index: number,
  idempotencyKey: string | undefined,
): OutgoingEvent {
  const data = encodePayload(stream, input)
  const key = stream.key === undefined ? undefined : keyOf(stream.key, input, stream.name)
  let names: readonly string[]
  let values: readonly (string | Buffer)[]
  let bytes: number
  if (extras !== undefined) {
    const fields = buildEntry(data, { ...extras, key })
    names = fields.filter((_, i) => i % 2 === 0).map(String)
    values = fields.filter((_, i) => i % 2 === 1)
    bytes = entryBytes(fields)
  } else {
    bytes = DATA_BYTES + (typeof data === 'string' ? Buffer.byteLength(data) : data.length)
    names = DATA
    values = [data]
    if (key !== undefined) {
      bytes += KEY_BYTES + Buffer.byteLength(key)
      names = DATA_AND_KEY
      values = [data, key]
    }
  }
  if (stream.claimCheck !== undefined) {
    const event = { call, index, idempotencyKey, names, values, bytes }
    const claimed = claimedEvent(stream, event)
    if (claimed !== undefined) return claimed
  }
  if (bytes > stream.limits.maxPayloadBytes) {
    throw new MillraceError(
      'PAYLOAD_TOO_LARGE',
      `An event of ${stream.name} has ${bytes} bytes; at most ${stream.limits.maxPayloadBytes} are allowed`,
      { stream: stream.name },
    )
  }
  return { call, index, idempotencyKey, names, values, bytes }
}

export type Extras = Pick<PublishOptions, 'headers' | 'timeMs' | 'type'>

function encodePayload<Input>(stream: EventStream<Input, unknown>, input: Input): string | Buffer {
  try {
    const encoded = stream.codec.encode(input)
    return typeof encoded === 'string'
      ? encoded
      : Buffer.from(encoded.buffer, encoded.byteOffset, encoded.byteLength)
  } catch (error) {
    throw new MillraceError(
      'PAYLOAD_INVALID',
      `A payload of ${stream.name} cannot be encoded: ${messageOf(error)}`,
      { stream: stream.name, cause: error },
    )
  }
}

function keyOf<Input>(key: (input: Input) => string, input: Input, stream: string): string {
  let found: unknown
  try {
    found = key(input)
  } catch (error) {
    throw new MillraceError(
      'PAYLOAD_INVALID',
      `The key function of ${stream} failed: ${messageOf(error)}`,
      {
        stream,
        cause: error,
      },
    )
  }
  if (typeof found === 'string') return found
  throw new MillraceError(
    'PAYLOAD_INVALID',
    `The key function of ${stream} must answer a text, not a ${typeof found}`,
    { stream },
  )
}
