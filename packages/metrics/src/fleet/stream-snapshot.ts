import { idTimeMs } from '@millrace/runtime'
import type { ReadStream } from './read-stream.ts'
import type { ReaderKind } from './companions.ts'
import type { GroupMemory } from './memory.ts'
import type { GroupSnapshot, StreamSnapshot } from './snapshot.ts'
import type { GroupReading } from './stream-reading.ts'
import { courseAfter, type VerdictBounds, verdictOf } from './verdict.ts'

/** Puts together what is shown of a stream, and judges its groups. */
export function streamSnapshot(
  stream: ReadStream,
  atMs: number,
  bounds: VerdictBounds,
): StreamSnapshot {
  const { key, name, reading, memory, nowMs, groups } = stream
  const { groups: all, ...figures } = reading
  return {
    key,
    name,
    reading: figures,
    lastEntryId: lastEntryOf(stream),
    oldestAgeMs: reading.length === 0 ? 0 : ageOf(reading.firstId, nowMs),
    retentionMs: memory.meta?.retentionMs,
    bytes: memory.bytes,
    groupCount: all.length,
    groups: groups.map((group) => groupSnapshot(stream, group, atMs, bounds)),
  }
}

function groupSnapshot(
  { memory, nowMs }: ReadStream,
  group: GroupReading,
  atMs: number,
  bounds: VerdictBounds,
): GroupSnapshot {
  const { name, position, entriesRead, pending, oldestPending, consumers } = group
  const own = memory.group(name)
  const kind = memory.meta?.kinds.get(name) ?? 'foreign'
  const { events, known } = own.lag
  const lagMs = lagMsOf(own, position, nowMs)
  own.course = courseAfter(
    own.course,
    {
      atMs,
      position,
      lag: events,
      lagMs,
      pending,
      oldestPendingId: oldestPending?.id ?? '',
      isManned: isManned(own, kind, group, nowMs, bounds),
    },
    bounds,
  )
  const retentionMs = memory.meta?.retentionMs
  return {
    name,
    kind,
    position,
    entriesRead,
    pending,
    oldestPendingAgeMs: oldestPending && ageOf(oldestPending.id, nowMs),
    pendingByDeliveries: own.pendingByDeliveries,
    consumerCount: consumers.length,
    consumers: consumers.map(({ name: consumer, pending: theirs, seenMs }) => ({
      name: consumer,
      pending: theirs,
      idleMs: Math.max(nowMs - seenMs, 0),
    })),
    lag: { events, known, ms: lagMs },
    headroomMs: retentionMs === undefined || events === 0 ? undefined : retentionMs - lagMs,
    expired: kind === 'foreign' ? memory.meta?.foreignExpired.get(name) : own.state?.expired,
    members: own.manning,
    deadLetters: own.deadLetters?.length ?? (kind === 'foreign' ? undefined : 0),
    oldestDeadLetterAgeMs:
      own.deadLetters === undefined || own.deadLetters.length === 0
        ? undefined
        : ageOf(own.deadLetters.firstId, nowMs),
    redriving: own.redriving,
    verdict: verdictOf(own.course, bounds),
  }
}

/**
 * How long the first event after the position has waited. Where only the position is known, it came after
 * that, and after the group was last seen without lag.
 */
function lagMsOf({ lag, caughtUpMs }: GroupMemory, position: string, nowMs: number): number {
  if (lag.events === 0) return 0
  if (lag.oldestId !== undefined && lag.oldestId !== '') return ageOf(lag.oldestId, nowMs)
  return Math.max(nowMs - Math.max(idTimeMs(position), caughtUpMs), 0)
}

function isManned(
  { manning }: GroupMemory,
  kind: ReaderKind,
  { consumers }: GroupReading,
  nowMs: number,
  { patienceMs }: VerdictBounds,
): boolean | undefined {
  // Others hold no lease of ours; that they have tried to read of late is all there is to go by.
  if (kind === 'foreign') return consumers.some(({ seenMs }) => nowMs - seenMs < patienceMs)
  if (manning?.isKnown !== true) return undefined
  return manning.alive > 0
}

/** Trimming takes from the front, so only XDEL can have taken the last entry. */
function lastEntryOf({ reading, memory }: ReadStream): string {
  if (reading.length === 0) return '0-0'
  if (reading.maxDeletedId !== reading.lastId) return reading.lastId
  return memory.lastEntry?.lastId === reading.lastId ? memory.lastEntry.id : reading.lastId
}

function ageOf(id: string, nowMs: number): number {
  return Math.max(nowMs - idTimeMs(id), 0)
}
