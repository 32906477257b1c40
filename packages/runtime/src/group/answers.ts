import type { StreamPause } from '../admin/pauses.ts'
import { MillraceError } from '../errors.ts'
import type { ReportedGap } from '../retention/gap.ts'
import { type MemberRecord, parseMemberRecord } from './member-record.ts'

/** Who a member is to Redis, for the length of one connection. */
export interface Identity {
  /** The consumer name: the member's label and the nonce of its token. */
  readonly name: string
  readonly token: string
  readonly incarnation: string
  /** Incarnation and generation of the native group: another stamp means that old entries are void. */
  readonly stamp: string
}

/** One entry that is pending for somebody. */
export interface PendingEntry {
  readonly id: string
  /** Since its last delivery or recorded failure. */
  readonly idleMs: number
  /** The number of the attempt that comes next, as it was written. */
  readonly attempt: number
}

export interface Joined {
  readonly identity: Identity
  readonly outcome: 'created' | 'group-recreated' | 'joined' | 'recreated'
  readonly oldPosition: string
  readonly position: string
  /** What became of the identity that this one succeeds. */
  readonly predecessor: 'GONE' | 'NONE' | 'OK' | 'REVOKED'
  readonly expired: number
  readonly pending: readonly PendingEntry[]
  /** Events that were removed before the group had processed them, and that nobody was told of. */
  readonly gap: ReportedGap | undefined
  /** What pauses the group, if somebody who administers the stream wants that. */
  readonly pause: StreamPause | undefined
}

/** Why a script refused its caller. */
export type Refusal = 'GONE' | 'NOGROUP' | 'RECREATED' | 'REVOKED'

/** Another consumer of the native group, or another record in the state. */
export interface OtherMember {
  readonly name: string
  readonly record: MemberRecord | undefined
  /** Undefined when the native group does not know the name. */
  readonly pending: number | undefined
}

export interface BeatAnswer {
  readonly pending: number
  readonly redrive: number
  readonly entriesAdded: number
  readonly lastId: string
  readonly others: readonly OtherMember[]
  readonly gap: ReportedGap | undefined
  readonly pause: StreamPause | undefined
}

export interface ClaimAnswer {
  readonly drained: boolean
  readonly expired: number
  readonly entries: readonly PendingEntry[]
}

export interface Settlement {
  readonly acks: readonly string[]
  readonly attempts: readonly { readonly id: string; readonly attempt: number }[]
  readonly releases: readonly PendingEntry[]
}

/** What became of attempts that were to be written. */
export interface Settled {
  /** Their entries have left the stream. */
  readonly gone: readonly string[]
  /** Their entries are not pending for this member. */
  readonly foreign: readonly string[]
  /** How many of the acknowledged were still pending, where that is told. */
  readonly acked?: number
}

/** Whether an answer is a refusal. */
export function isRefusal(answer: unknown): answer is Refusal {
  return answer === 'GONE' || answer === 'NOGROUP' || answer === 'RECREATED' || answer === 'REVOKED'
}

/** The refusal in an answer that is not OK. */
export function refusal(reply: readonly unknown[]): Refusal {
  const word = reply[0]
  if (isRefusal(word)) return word
  throw new MillraceError('INTERNAL', `A script answered ${String(word)}`)
}

/** Reads id, idle time and count, again and again. */
export function pendingEntries(flat: unknown): PendingEntry[] {
  const list = flat as readonly unknown[]
  const entries: PendingEntry[] = []
  for (let i = 0; i + 2 < list.length; i += 3) {
    entries.push({ id: String(list[i]), idleMs: Number(list[i + 1]), attempt: Number(list[i + 2]) })
  }
  return entries
}

/** Reads name, record and pending count, again and again. */
export function otherMembers(flat: readonly unknown[]): OtherMember[] {
  const others: OtherMember[] = []
  for (let i = 0; i + 2 < flat.length; i += 3) {
    const pending = Number(flat[i + 2])
    others.push({
      name: String(flat[i]),
      record: parseMemberRecord(String(flat[i + 1])),
      pending: pending < 0 ? undefined : pending,
    })
  }
  return others
}
