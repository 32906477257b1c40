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
  const [firstEntry] = listOf(fieldOf(reply, 'entries'))
  const length = numberOf(reply, 'length')
  const [entryId, entryFields] = listOf(firstEntry)
  return {
    length,
    radixTreeKeys: numberOf(reply, 'radix-tree-keys'),
    radixTreeNodes: numberOf(reply, 'radix-tree-nodes'),
    firstId: length === 0 ? '0-0' : textOf(entryId ?? fieldOf(reply, 'recorded-first-entry-id')),
    lastId: textOf(fieldOf(reply, 'last-generated-id')),
    maxDeletedId: textOf(fieldOf(reply, 'max-deleted-entry-id') ?? '0-0'),
    entriesAdded: numberOf(reply, 'entries-added'),
    // A number is what the script says where the payload stayed in Redis.
    firstEntryBytes: typeof entryFields === 'number' ? entryFields : bytesOf(entryFields),
    groups: listOf(fieldOf(reply, 'groups')).map(parseGroup),
  }
}

function parseGroup(reply: unknown): GroupReading {
  const read = fieldOf(reply, 'entries-read')
  const [oldest] = listOf(fieldOf(reply, 'pending'))
  const [id, , deliveredMs, deliveries] = listOf(oldest)
  return {
    name: textOf(fieldOf(reply, 'name')),
    position: textOf(fieldOf(reply, 'last-delivered-id')),
    entriesRead: read === null || read === undefined ? undefined : Number(read),
    pending: numberOf(reply, 'pel-count'),
    oldestPending:
      id === undefined
        ? undefined
        : { id: textOf(id), deliveredMs: Number(deliveredMs), deliveries: Number(deliveries) },
    consumers: listOf(fieldOf(reply, 'consumers')).map((consumer) => ({
      name: textOf(fieldOf(consumer, 'name')),
      pending: numberOf(consumer, 'pel-count'),
      seenMs: numberOf(consumer, 'seen-time'),
    })),
  }
}

/**
 * One field of such a list. There are six thousand lists in the figures of a large fleet: to look through one
 * several times costs less than to make a map of it.
 */
function fieldOf(reply: unknown, name: string): unknown {
  if (!Array.isArray(reply)) return fieldsOf(reply).get(name)
  const flat = reply as readonly unknown[]
  for (let i = 0; i + 1 < flat.length; i += 2) if (flat[i] === name) return flat[i + 1]
  return undefined
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

function numberOf(reply: unknown, name: string): number {
  return Number(fieldOf(reply, name) ?? 0)
}

function bytesOf(entryFields: unknown): number {
  let bytes = 0
  for (const part of listOf(entryFields)) bytes += textOf(part).length
  return bytes
}
