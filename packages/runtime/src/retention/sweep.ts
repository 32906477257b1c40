import { evaluate } from '../connection/script.ts'
import type { Session } from '../connection/session.ts'
import type { Retention } from '../stream/define-stream.ts'
import type { StreamKeys } from '../stream/keys.ts'
import { sweepScript } from './sweep-script.ts'

/** Entries that one call removes: some milliseconds of the server's time at most. */
const MOST_REMOVED = 10_000
/** Pending entries of one group that one call looks at. */
const MOST_PENDING = 256

export interface SweepRequest {
  readonly retention: Retention
  /** Whether this definition is the stream's; otherwise the one stored there counts, if any. */
  readonly decides: boolean
  readonly periodMs: number
  /** Whether to go on with a sweep that has begun. */
  readonly continues: boolean
  /** Entries that one call removes. @defaultValue {@link MOST_REMOVED} */
  readonly mostRemoved?: number
  /** Pending entries of one group that one call looks at. @defaultValue {@link MOST_PENDING} */
  readonly mostPending?: number
}

/** Somebody who has not been active for longer than the owner allows. */
export interface Abandoned {
  readonly name: string
  readonly kind: 'consumer' | 'foreign' | 'group'
  /** In milliseconds since 1970 by the server's clock. */
  readonly activeMs: number
}

export type SweepAnswer =
  | { readonly outcome: 'none' }
  | { readonly outcome: 'later'; readonly inMs: number }
  | {
      readonly outcome: 'swept'
      /** Whether there is more to do than one call does. */
      readonly more: boolean
      readonly removed: number
      /** How many of them somebody had not processed. */
      readonly pastFloor: number
      readonly floor: string
      /** The greatest id that retention has removed so far. */
      readonly trimmed: string
      readonly abandoned: readonly Abandoned[]
      /** How many of the removed each reader had not processed; only of those who lost some. */
      readonly expired: ReadonlyMap<string, number>
    }

/** Carries out one part of a sweep; may be repeated when the answer was lost. */
export async function sweep(
  session: Session,
  keys: StreamKeys,
  request: SweepRequest,
): Promise<SweepAnswer> {
  const { retention } = request
  const reply = (await evaluate(
    session,
    sweepScript,
    [keys.stream, keys.meta],
    [
      request.periodMs,
      request.continues ? '1' : '',
      formatRetention(retention),
      request.decides ? '1' : '',
      retention.abandonedAfterMs,
      request.mostRemoved ?? MOST_REMOVED,
      request.mostPending ?? MOST_PENDING,
    ],
  )) as unknown[]
  switch (reply[0]) {
    case 'LATER':
      return { outcome: 'later', inMs: Number(reply[1]) }
    case 'SWEPT':
      return {
        outcome: 'swept',
        more: reply[1] === '1',
        removed: Number(reply[2]),
        pastFloor: Number(reply[3]),
        floor: String(reply[4]),
        trimmed: String(reply[5]),
        abandoned: abandonedOf(reply[6] as readonly unknown[]),
        expired: countsOf(reply[7] as readonly unknown[]),
      }
    default:
      return { outcome: 'none' }
  }
}

/** As it stands in `:meta`: maximum age in ms, maximum length, hard maximum length (0: none), unread. */
function formatRetention({ maxAgeMs, maxLength, hardMaxLength, unread }: Retention): string {
  return [...[maxAgeMs, maxLength, hardMaxLength].map(bound), unread].join(',')
}

function bound(value: number): string {
  return Number.isFinite(value) ? Math.ceil(value).toFixed(0) : '0'
}

function abandonedOf(flat: readonly unknown[]): Abandoned[] {
  const all: Abandoned[] = []
  for (let i = 0; i + 2 < flat.length; i += 3) {
    const kind = String(flat[i + 1]) as Abandoned['kind']
    all.push({ name: String(flat[i]), kind, activeMs: Number(flat[i + 2]) })
  }
  return all
}

function countsOf(flat: readonly unknown[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (let i = 0; i + 1 < flat.length; i += 2) counts.set(String(flat[i]), Number(flat[i + 1]))
  return counts
}
