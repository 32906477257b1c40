import { parsePauses, PAUSED_FIELD, type StreamPause } from '../admin/pauses.ts'
import { evaluate } from '../connection/script.ts'
import { parseAttempts } from '../consumer/attempts.ts'
import { inRanges, parseRanges } from '../consumer/ranges.ts'
import type { Core, StreamLike } from '../core.ts'
import { MEMBER_FIELD, parseMemberRecord } from '../group/member-record.ts'
import { reportedGap } from '../retention/gap.ts'
import { FOREIGN_FIELD } from '../retention/names.ts'
import type { Gap } from '../errors.ts'
import { idTimeMs } from '../stream/stream-id.ts'
import { inspectScript, MOST_COUNTED, MOST_COUNTED_IN_ALL } from './inspect-script.ts'

/** How far something is behind. */
export interface Lag {
  /** Events that were not processed yet. */
  readonly events: number
  /**
   * Whether that number is certain. It is an estimate for whoever has more than a thousand events on either
   * side, and beyond ten thousand counted for all.
   */
  readonly known: boolean
  /** The age of the oldest unprocessed event, in milliseconds by the server's clock; 0 without lag. */
  readonly ms: number
}

/** What retention has removed before somebody had processed it. */
export interface Losses {
  /** How many events since the consumer or group came to be. */
  readonly expired: number
  /** What its owner has not been told of yet. */
  readonly gap: Gap | undefined
  /**
   * When it last showed a sign of life, in milliseconds since 1970 by the server's clock, to the minute;
   * of a foreign group, when it was last seen to have moved; 0 when not known.
   */
  readonly activeMs: number
}

export interface ConsumerReport extends Losses {
  readonly kind: 'consumer'
  readonly name: string
  /** Everything at or before this id is processed. */
  readonly position: string
  readonly lag: Lag
  /** Whether somebody holds the lease; a dead holder counts until another one takes over. */
  readonly held: boolean
  readonly token: string
  readonly beat: number
  readonly leaseMs: number
  /** Boot id, namespaces, process id and start time of the holder, where known. */
  readonly holder: string
  /** Events that failed and wait for their next attempt. */
  readonly failing: number
  readonly deadLetters: number
  readonly redriving: number
}

export interface MemberReport {
  readonly name: string
  /** `foreign`: a Redis consumer that Millrace did not create. */
  readonly standing: 'foreign' | 'live' | 'released' | 'revoked'
  readonly pending: number
  readonly beat: number
  readonly leaseMs: number
}

export interface GroupReport extends Losses {
  /** `foreign`: a Redis consumer group that Millrace did not create. */
  readonly kind: 'foreign' | 'group'
  readonly name: string
  /** Everything after this id was handed to nobody yet. */
  readonly position: string
  /** Events that were handed to nobody yet; add `pending` for all that are not processed. */
  readonly lag: Lag
  /** Events handed to members and not acked. */
  readonly pending: number
  /** The age of the oldest of them, in milliseconds by the server's clock. */
  readonly oldestPendingMs: number
  readonly members: readonly MemberReport[]
  readonly deadLetters: number
  readonly redriving: number
}

export interface StreamReport {
  readonly name: string
  readonly exists: boolean
  readonly incarnation: string
  readonly length: number
  readonly entriesAdded: number
  readonly firstId: string
  /** The age of the first event, in milliseconds by the server's clock; 0 when there is none. */
  readonly oldestMs: number
  /** Everything before this id is processed by everybody, as of the last sweep; '' before the first. */
  readonly floor: string
  /** The greatest id that retention has removed; '' when it has removed nothing. */
  readonly trimmed: string
  readonly lastId: string
  /** Memory of the stream in Redis, sampled. */
  readonly bytes: number
  /** Who is paused by whoever administers the stream: of whom, since when, by whom and why. */
  readonly pauses: readonly StreamPause[]
  readonly consumers: readonly ConsumerReport[]
  readonly groups: readonly GroupReport[]
}

/** The truth about a stream and everyone who reads it, at one moment. */
export async function inspectStream(
  core: Core,
  stream: StreamLike,
  signal?: AbortSignal,
): Promise<StreamReport> {
  const keys = core.keysOf(stream)
  const reply = await core.connections.call(
    'data',
    keys.tag,
    (session) =>
      evaluate(
        session,
        inspectScript,
        [keys.stream, keys.meta],
        [MOST_COUNTED, MOST_COUNTED_IN_ALL],
      ),
    { signal },
  )
  const raw = JSON.parse(String(reply)) as RawReport
  const nowMs = Number(raw.nowMs)
  const groups = listOf(raw.groups)
  return {
    name: stream.name,
    exists: raw.exists,
    incarnation: raw.meta['incarnation'] ?? '',
    length: raw.length ?? 0,
    entriesAdded: raw.added ?? 0,
    firstId: raw.firstId ?? '',
    oldestMs: ageOf(raw.firstId ?? '', nowMs),
    floor: raw.meta['floor'] ?? '',
    trimmed: raw.meta['trimmed'] ?? '',
    lastId: raw.lastId ?? '0-0',
    bytes: raw.bytes ?? 0,
    pauses: parsePauses(raw.meta[PAUSED_FIELD] ?? ''),
    consumers: groups
      .filter((group) => group.state['kind'] === 'consumer')
      .map((group) => consumerReport(group, nowMs, raw.meta)),
    groups: groups
      .filter((group) => group.state['kind'] !== 'consumer')
      .map((group) => groupReport(group, nowMs, raw.meta)),
  }
}

/** What the script answers; Lua cannot tell an empty list from an empty object. */
interface RawReport {
  readonly nowMs: string
  readonly meta: Readonly<Record<string, string>>
  readonly exists: boolean
  readonly length?: number
  readonly added?: number
  readonly firstId?: string
  readonly lastId?: string
  readonly bytes?: number
  readonly groups: readonly RawGroup[] | Record<string, never>
}

interface RawGroup {
  readonly name: string
  readonly state: Readonly<Record<string, string>>
  readonly pending: number
  readonly position: string
  readonly lag: number
  readonly known: boolean
  readonly oldest: string
  readonly oldestPending: string
  readonly dead: number
  readonly redrive: number
  readonly consumers: readonly RawConsumer[] | Record<string, never>
}

type Meta = Readonly<Record<string, string>>

interface RawConsumer {
  readonly name: string
  readonly pending: number
  readonly idle: number
}

function consumerReport(group: RawGroup, nowMs: number, meta: Meta): ConsumerReport {
  const { state } = group
  const ahead = parseRanges(state['ranges'] ?? '')
  const failing = [...parseAttempts(state['attempts'] ?? '').keys()].filter(
    (id) => !inRanges(ahead, id),
  )
  return {
    ...lossesOf(group, meta),
    kind: 'consumer',
    name: group.name,
    position: group.position,
    lag: lagOf(group, nowMs),
    held: state['token'] !== undefined && state['released'] !== '1',
    token: state['token'] ?? '',
    beat: Number(state['beat'] ?? 0),
    leaseMs: Number(state['leaseMs'] ?? 0),
    holder: state['holder'] ?? '',
    failing: failing.length,
    deadLetters: group.dead,
    redriving: group.redrive,
  }
}

function groupReport(group: RawGroup, nowMs: number, meta: Meta): GroupReport {
  const pendingOf = new Map(listOf(group.consumers).map(({ name, pending }) => [name, pending]))
  const members: MemberReport[] = []
  for (const [field, text] of Object.entries(group.state)) {
    const record = field.startsWith(MEMBER_FIELD) ? parseMemberRecord(text) : undefined
    if (record === undefined) continue
    const name = field.slice(MEMBER_FIELD.length)
    const { standing, beat, leaseMs } = record
    members.push({ name, standing, pending: pendingOf.get(name) ?? 0, beat, leaseMs })
    pendingOf.delete(name)
  }
  for (const [name, pending] of pendingOf) {
    members.push({ name, standing: 'foreign', pending, beat: 0, leaseMs: 0 })
  }
  return {
    ...lossesOf(group, meta),
    kind: group.state['kind'] === 'group' ? 'group' : 'foreign',
    name: group.name,
    position: group.position,
    lag: lagOf(group, nowMs),
    pending: group.pending,
    oldestPendingMs: ageOf(group.oldestPending, nowMs),
    members,
    deadLetters: group.dead,
    redriving: group.redrive,
  }
}

function lossesOf({ name, state }: RawGroup, meta: Meta): Losses {
  const [expired, , , movedMs] = (meta[`${FOREIGN_FIELD}${name}`] ?? '').split('|')
  const gap = reportedGap(state['gap'] ?? '', meta['incarnation'] ?? '')
  return {
    expired: Number(state['expired'] ?? expired ?? 0),
    gap: gap && { from: gap.from, to: gap.to, events: gap.events, known: gap.known },
    activeMs: Number(state['active'] ?? movedMs ?? 0),
  }
}

function lagOf(group: RawGroup, nowMs: number): Lag {
  return { events: group.lag, known: group.known, ms: ageOf(group.oldest, nowMs) }
}

function ageOf(id: string, nowMs: number): number {
  return id === '' ? 0 : Math.max(nowMs - idTimeMs(id), 0)
}

function listOf<T>(list: readonly T[] | Record<string, never>): readonly T[] {
  return Array.isArray(list) ? list : []
}
