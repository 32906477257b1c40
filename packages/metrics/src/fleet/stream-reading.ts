/** What `XINFO STREAM … FULL COUNT 1` tells about a stream and everyone who reads it, in one command. */
export interface StreamReading {
  readonly length: number
  readonly radixTreeKeys: number
  readonly radixTreeNodes: number
  /** The id of the first entry, `0-0` without one. */
  readonly firstId: string
  /** The greatest id ever given; the entry may be gone. */
  readonly lastId: string
  /** The greatest id that XDEL has removed; trimming does not count. */
  readonly maxDeletedId: string
  readonly entriesAdded: number
  /** About how many bytes the first entry has. */
  readonly firstEntryBytes: number
  readonly groups: readonly GroupReading[]
}

export interface GroupReading {
  readonly name: string
  /** `last-delivered-id`: of a Consumer's image, its position. */
  readonly position: string
  /** Redis' count of what was read up to the position; undefined where Redis does not know. */
  readonly entriesRead: number | undefined
  readonly pending: number
  readonly oldestPending: PendingReading | undefined
  readonly consumers: readonly ConsumerReading[]
}

interface PendingReading {
  readonly id: string
  readonly deliveredMs: number
  readonly deliveries: number
}

interface ConsumerReading {
  readonly name: string
  readonly pending: number
  /** When it last tried to read; on Redis 7.0, when it last read something. In ms by the server's clock. */
  readonly seenMs: number
}

/** Fields are found by name, because newer servers add some. */
export function parseStream(reply: unknown): StreamReading {
  const fields = fieldsOf(reply)
  const [firstEntry] = listOf(fields.get('entries'))
  const length = numberOf(fields, 'length')
  const [entryId, entryFields] = listOf(firstEntry)
  return {
    length,
    radixTreeKeys: numberOf(fields, 'radix-tree-keys'),
    radixTreeNodes: numberOf(fields, 'radix-tree-nodes'),
    firstId: length === 0 ? '0-0' : textOf(entryId ?? fields.get('recorded-first-entry-id')),
    lastId: textOf(fields.get('last-generated-id')),
    maxDeletedId: textOf(fields.get('max-deleted-entry-id') ?? '0-0'),
    entriesAdded: numberOf(fields, 'entries-added'),
    // A number is what the script says where the payload stayed in Redis.
    firstEntryBytes: typeof entryFields === 'number' ? entryFields : bytesOf(entryFields),
    groups: listOf(fields.get('groups')).map(parseGroup),
  }
}

function parseGroup(reply: unknown): GroupReading {
  const fields = fieldsOf(reply)
  const read = fields.get('entries-read')
  const [oldest] = listOf(fields.get('pending'))
  const [id, , deliveredMs, deliveries] = listOf(oldest)
  return {
    name: textOf(fields.get('name')),
    position: textOf(fields.get('last-delivered-id')),
    entriesRead: read === null || read === undefined ? undefined : Number(read),
    pending: numberOf(fields, 'pel-count'),
    oldestPending:
      id === undefined
        ? undefined
        : { id: textOf(id), deliveredMs: Number(deliveredMs), deliveries: Number(deliveries) },
    consumers: listOf(fields.get('consumers')).map((consumer) => {
      const of = fieldsOf(consumer)
      return {
        name: textOf(of.get('name')),
        pending: numberOf(of, 'pel-count'),
        seenMs: numberOf(of, 'seen-time'),
      }
    }),
  }
}

/** A flat list of names and values, as RESP2 has them, or what the client makes of a hash. */
export function fieldsOf(reply: unknown): ReadonlyMap<string, unknown> {
  if (typeof reply === 'object' && reply !== null && !Array.isArray(reply)) {
    return new Map(Object.entries(reply))
  }
  const flat = listOf(reply)
  const fields = new Map<string, unknown>()
  for (let i = 0; i + 1 < flat.length; i += 2) fields.set(textOf(flat[i]), flat[i + 1])
  return fields
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as readonly unknown[]) : []
}

/** Texts and numbers are all that Redis puts into these places. */
export function textOf(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : ''
}

function numberOf(fields: ReadonlyMap<string, unknown>, name: string): number {
  return Number(fields.get(name) ?? 0)
}

function bytesOf(entryFields: unknown): number {
  let bytes = 0
  for (const part of listOf(entryFields)) bytes += textOf(part).length
  return bytes
}
