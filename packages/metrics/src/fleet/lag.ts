import { compareIds, idTimeMs } from '@millrace/runtime'

/** The figures of a stream that its readers' lag follows from. */
export interface StreamFigures {
  readonly length: number
  readonly firstId: string
  readonly lastId: string
  readonly maxDeletedId: string
  readonly entriesAdded: number
}

/** Where one reader is. */
export interface ReaderFigures {
  readonly position: string
  /** Redis' own count of what was read, where it has one. */
  readonly entriesRead: number | undefined
}

/** What was certain about a reader's lag at one look: later looks go on from there. */
export interface Proof {
  readonly reader: ReaderFigures
  readonly stream: StreamFigures
  readonly events: number
  /** Whether it was read off or counted, rather than carried on by Redis' own count. */
  readonly isVerified: boolean
}

export type LagDecision =
  | {
      readonly kind: 'known'
      readonly events: number
      /** The first event that was not processed, where the figures tell it; '' without lag. */
      readonly oldestId: string | undefined
      /** False where it rests on Redis' own count since a proof: worth counting when there is time. */
      readonly isVerified: boolean
    }
  /** Only counting tells; until then, an estimate. */
  | { readonly kind: 'unknown'; readonly estimate: number }

/**
 * How many events lie after a position, as far as figures tell.
 *
 * Redis' own lag is nil after deletions and wrong after trimming unread events (Redis 7.0, Valkey), and its
 * `entries-read` is whatever the last XGROUP SETID said. So nothing of that is believed unless it goes on
 * from something proven, with nothing removed behind the position meanwhile.
 */
export function lagOf(
  stream: StreamFigures,
  reader: ReaderFigures,
  proof: Proof | undefined,
): LagDecision {
  const { length, firstId, lastId } = stream
  const { position } = reader
  if (length === 0 || compareIds(position, lastId) >= 0) {
    return { kind: 'known', events: 0, oldestId: '', isVerified: true }
  }
  const toFirst = compareIds(position, firstId)
  // Everything that is left is unread, whatever is gone.
  if (toFirst < 0) return { kind: 'known', events: length, oldestId: firstId, isVerified: true }
  if (toFirst === 0) {
    const oldestId = length === 1 ? '' : undefined
    return { kind: 'known', events: length - 1, oldestId, isVerified: true }
  }
  const carried = proof && carriedOn(proof, stream, reader)
  if (carried !== undefined) {
    return { kind: 'known', oldestId: undefined, ...carried }
  }
  return { kind: 'unknown', estimate: estimateOf(stream, reader) }
}

/** The lag now, if it follows from what was proven before. The position is at or after the first entry. */
function carriedOn(
  { reader: before, stream: then, events, isVerified }: Proof,
  now: StreamFigures,
  reader: ReaderFigures,
): Pick<Proof, 'events' | 'isVerified'> | undefined {
  if (isAnother(then, now)) return undefined
  const added = now.entriesAdded - then.entriesAdded
  const goneBefore = then.entriesAdded - then.length
  const goneNow = now.entriesAdded - now.length
  const moved = compareIds(reader.position, before.position)
  const nothingGone = goneNow === goneBefore && now.maxDeletedId === then.maxDeletedId
  // Deletions leave their greatest id, so below the position they cannot have been behind it.
  const noneBehind = compareIds(now.maxDeletedId, before.position) <= 0
  if (moved < 0 || !(nothingGone || noneBehind)) return undefined
  if (moved === 0) return { events: events + added, isVerified }
  // What it read is known only if no entry in between was deleted, or trimmed before it was read.
  if (!noneBehind || compareIds(now.firstId, before.position) > 0) return undefined
  if (before.entriesRead === undefined || reader.entriesRead === undefined) return undefined
  const read = reader.entriesRead - before.entriesRead
  const left = events + added - read
  // It is before the last entry and after the first, so neither none nor all can be left.
  const isPossible = read >= 1 && left >= 1 && left < now.length
  return isPossible ? { events: left, isVerified: false } : undefined
}

/** Whether the key holds another stream than before. */
export function isAnother(then: StreamFigures, now: StreamFigures): boolean {
  return now.entriesAdded < then.entriesAdded || compareIds(now.lastId, then.lastId) < 0
}

/** By Redis' count where it can be true, else by time between the first and the last id. */
function estimateOf(stream: StreamFigures, { position, entriesRead }: ReaderFigures): number {
  const { length, firstId, lastId, entriesAdded } = stream
  const gone = entriesAdded - length
  const bounded = (lag: number): number => Math.min(Math.max(Math.round(lag), 1), length - 1)
  if (entriesRead !== undefined && entriesRead > gone && entriesRead < entriesAdded) {
    return bounded(entriesAdded - entriesRead)
  }
  const span = idTimeMs(lastId) - idTimeMs(firstId)
  const share = span > 0 ? (idTimeMs(lastId) - idTimeMs(position)) / span : 0.5
  return bounded(length * share)
}
