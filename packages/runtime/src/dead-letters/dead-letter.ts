import { type DeadLetterReason, deadLetterFields } from '../delivery/dead-letter-fields.ts'
import { isClaimed } from '../blob/downloads.ts'
import type { BlobReference } from '../blob/reference.ts'
import type { Decode } from '../stream/decode.ts'
import type { Claimed, Settled } from '../stream/event.ts'
import { entryFields, parseEntry, type RawEntry } from '../stream/entry.ts'
import { idTimeMs, isStreamId } from '../stream/stream-id.ts'

/** An event that a consumer or consumer group has given up, as it lies in its dead letters. */
export interface DeadLetter<Data = unknown> {
  /** Its own id among the dead letters: what `redrive`, `discard` and `peek` take. */
  readonly id: string
  /** The id that the event had in its stream, and has again when it is redriven. */
  readonly eventId: string
  /** `unknown` where somebody put the letter there by hand. */
  readonly reason: DeadLetterReason | 'unknown'
  /** How many attempts were made in all, those after redrives too. */
  readonly attempts: number
  /** How often it was redriven and came back. */
  readonly redrives: number
  /** The text of the last error. */
  readonly error: string
  /** When it became a dead letter, in milliseconds since 1970 by the server's clock. */
  readonly deadSinceMs: number
  /** When the event happened, in milliseconds since 1970. */
  readonly timeMs: number
  readonly type: string | undefined
  readonly key: string | undefined
  /** Headers given at publish, the trace context among them. */
  readonly headers: Readonly<Record<string, string>>
  /** The payload as a handler would get it, or why it would not. */
  readonly payload: DeadLetterPayload<Data>
  /** The payload as it is stored, byte for byte; empty when it lies in a blob store. */
  readonly stored: Buffer
  /** Where the payload lies, when it lies in a blob store. */
  readonly blob: BlobReference | undefined
}

export type DeadLetterPayload<Data> =
  | { readonly ok: true; readonly data: Data }
  | { readonly ok: false; readonly error: Error }

/** An entry read as bytes: nothing of it was changed on the way. */
export type StoredEntry = readonly [id: string, fields: readonly Buffer[]]

/** Reads what `XRANGE` answers as bytes. */
export function storedEntries(reply: unknown): StoredEntry[] {
  return (reply as readonly (readonly [Buffer, readonly Buffer[]])[]).map(
    ([id, fields]) => [String(id), fields] as const,
  )
}

/**
 * Reads one entry of a dead-letter stream; never throws, whatever lies there.
 * @param fetch gets a payload that lies elsewhere
 */
export async function readLetter<Data>(
  [id, fields]: StoredEntry,
  decode: Decode<Data>,
  binary: boolean,
  fetch: (claimed: Claimed<Data>) => Promise<Settled<Data>>,
): Promise<DeadLetter<Data>> {
  const facts = factsOf(fields)
  const parts = parseEntry(fields)
  const eventId = facts.eventId ?? id
  const entry = await decode(eventEntry([id, fields], binary), '')
  const claimed = isClaimed(entry) ? entry : undefined
  const decoded = isClaimed(entry) ? await fetch(entry) : entry
  return {
    id,
    eventId,
    reason: facts.reason,
    attempts: facts.attempts,
    redrives: facts.redrives,
    error: facts.error,
    deadSinceMs: idTimeMs(id),
    timeMs: parts.time === undefined ? idTimeMs(eventId) : Number(parts.time),
    type: parts.type,
    key: parts.key,
    headers: parts.headers,
    payload: decoded.ok
      ? { ok: true, data: decoded.event.data }
      : { ok: false, error: decoded.error },
    stored: storedData(fields),
    blob: claimed?.reference,
  }
}

/** The event that a dead or redriven entry is about, for the stream's decoder. */
export function eventEntry([id, fields]: StoredEntry, binary: boolean): RawEntry {
  return [eventIdOf(fields) ?? id, binary ? fields : fields.map(String)]
}

/** The id that the event had in its stream; undefined where nobody noted it. */
function eventIdOf(fields: readonly (string | Buffer)[]): string | undefined {
  const id = lastValue(fields, deadLetterFields.id)
  return id !== undefined && isStreamId(String(id)) ? String(id) : undefined
}

interface LetterFacts {
  readonly eventId: string | undefined
  readonly reason: DeadLetterReason | 'unknown'
  readonly attempts: number
  readonly redrives: number
  readonly error: string
}

const REASONS: readonly DeadLetterReason[] = ['exhausted', 'invalid', 'unrecoverable']

function factsOf(fields: readonly Buffer[]): LetterFacts {
  const reason = String(lastValue(fields, deadLetterFields.reason) ?? '')
  return {
    eventId: eventIdOf(fields),
    reason: REASONS.find((known) => known === reason) ?? 'unknown',
    attempts: countIn(fields, deadLetterFields.attempts),
    redrives: countIn(fields, deadLetterFields.redrives),
    error: String(lastValue(fields, deadLetterFields.error) ?? ''),
  }
}

function countIn(fields: readonly Buffer[], name: string): number {
  const count = Number(String(lastValue(fields, name) ?? ''))
  return Number.isSafeInteger(count) ? count : 0
}

function storedData(fields: readonly Buffer[]): Buffer {
  const data = lastValue(fields, entryFields.data)
  return data === undefined ? Buffer.alloc(0) : Buffer.from(data)
}

function lastValue<Field extends string | Buffer>(
  fields: readonly Field[],
  name: string,
): Field | undefined {
  let value: Field | undefined
  for (let i = 0; i + 1 < fields.length; i += 2)
    if (String(fields[i]) === name) value = fields[i + 1]
  return value
}
