import type { ReaderKind } from './companions.ts'
import type { StreamReading } from './stream-reading.ts'
import type { Verdict } from './verdict.ts'

/** What one scrape has found out about the streams of one Redis. */
export interface FleetSnapshot {
  /** As redis_exporter writes it: `db0`. */
  readonly db: string
  readonly nodes: readonly NodeSnapshot[]
  readonly streams: readonly StreamSnapshot[]
  /** Streams that were found and not read, because there are more than `maxStreams`. */
  readonly skippedStreams: number
  /** Groups that are not shown, because a stream has more than `maxGroupsPerStream`. */
  readonly skippedGroups: number
  /** Commands that the scrape ran in Redis, those inside of scripts included. */
  readonly commands: number
  readonly durationMs: number
  /** How old the oldest detail is that is shown. */
  readonly detailsAgeMs: number
  /** Failures since the start, by kind. */
  readonly errors: Readonly<Record<string, number>>
}

export interface NodeSnapshot {
  readonly name: string
  readonly isUp: boolean
  readonly memoryUsedBytes: number | undefined
  /** 0 without a limit. */
  readonly memoryLimitBytes: number | undefined
}

export interface StreamSnapshot {
  /** The key in Redis. */
  readonly key: string
  /** The event stream's name, '' of one that is not Millrace's. */
  readonly name: string
  readonly reading: Omit<StreamReading, 'groups'>
  /** The id of the last entry that is still there, `0-0` without one. */
  readonly lastEntryId: string
  readonly oldestAgeMs: number
  readonly retentionMs: number | undefined
  readonly bytes: number | undefined
  /** Of all groups, also of those that are not shown. */
  readonly groupCount: number
  readonly groups: readonly GroupSnapshot[]
}

export interface GroupSnapshot {
  readonly name: string
  readonly kind: ReaderKind
  readonly position: string
  readonly entriesRead: number | undefined
  readonly pending: number
  readonly oldestPendingAgeMs: number | undefined
  /** Of the oldest pending events, how many were delivered how often; undefined until they were looked at. */
  readonly pendingByDeliveries: Readonly<Record<string, number>> | undefined
  readonly consumerCount: number
  readonly consumers: readonly ConsumerSnapshot[]
  readonly lag: {
    readonly events: number
    /** Whether that number is certain; else it is an estimate. */
    readonly known: boolean
    /** How long the oldest event after the position has waited. */
    readonly ms: number
  }
  /** Time until retention removes the oldest event after the position; undefined without lag or bound. */
  readonly headroomMs: number | undefined
  /** Undefined where it is not known yet, or not counted by anybody. */
  readonly expired: number | undefined
  readonly members: { readonly alive: number; readonly expired: number } | undefined
  readonly deadLetters: number | undefined
  readonly oldestDeadLetterAgeMs: number | undefined
  readonly redriving: number | undefined
  readonly verdict: Verdict
}

/** A Redis consumer of a group. */
export interface ConsumerSnapshot {
  readonly name: string
  readonly pending: number
  readonly idleMs: number
}
