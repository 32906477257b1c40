import type { RawEntry } from '../stream/entry.ts'
import type { Decode } from '../stream/decode.ts'
import type { Decoded } from '../stream/event.ts'

/** Decodes a batch in order; a promise only where a schema is asynchronous. */
export function decodeBatch<Data>(
  entries: readonly RawEntry[],
  decode: Decode<Data>,
  incarnation: string,
): readonly Decoded<Data>[] | Promise<readonly Decoded<Data>[]> {
  const decoded: (Decoded<Data> | Promise<Decoded<Data>>)[] = []
  let pending = false
  for (const entry of entries) {
    const one = decode(entry, incarnation)
    if (one instanceof Promise) pending = true
    decoded.push(one)
  }
  if (!pending) return decoded as Decoded<Data>[]
  return Promise.all(decoded.map((one) => Promise.resolve(one)))
}

/** The id of a decoded entry, whether it could be decoded or not. */
export function idOf(decoded: Decoded<unknown>): string {
  return decoded.ok === true ? decoded.event.id : decoded.id
}

/** Entries of a reply to XRANGE, and of one stream in a reply to XREAD, with ids as text. */
export function toEntries(reply: unknown): RawEntry[] {
  if (!Array.isArray(reply)) return []
  const entries: RawEntry[] = []
  for (const item of reply as [string | Buffer, (string | Buffer)[] | null][]) {
    // An entry that was deleted while the reply was made has no fields.
    if (item[1] !== null) entries.push([String(item[0]), item[1]])
  }
  return entries
}
