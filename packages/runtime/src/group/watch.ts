import { type HostIdentity, isProvablyGone } from '../lease/host.ts'
import { lookEveryMs, type Observation, observe } from '../lease/observation.ts'
import type { OtherMember } from './answers.ts'

/** What a member has seen of the others; a look that failed starts again with {@link nothingSeen}. */
export type Observations = ReadonlyMap<string, Observation>

export const nothingSeen: Observations = new Map()

/** Somebody whose entries may be claimed. */
export interface Claimable {
  readonly name: string
  /** The record as it was seen, for compare-and-set; '' for a name without one. */
  readonly record: string
  readonly why: 'host-gone' | 'lease-expired' | 'released' | 'revoked' | 'unknown'
}

export interface Findings {
  readonly observations: Observations
  readonly claimable: readonly Claimable[]
  /** How soon to look again, at the latest, to learn in time who is dead; Infinity when there is nobody. */
  readonly nextInMs: number
}

/**
 * Decides who of the others is dead, by this member's own monotonic clock. Redis' own idle times play
 * no part: they grow for members that are alive and have nothing to do.
 *
 * @param leaseMs after how long a name that has no record is given up
 */
export function judgeOthers(
  seen: Observations,
  others: readonly OtherMember[],
  nowMs: number,
  leaseMs: number,
  here: HostIdentity | undefined,
): Findings {
  const observations = new Map<string, Observation>()
  const claimable: Claimable[] = []
  let nextInMs = Number.POSITIVE_INFINITY
  for (const { name, record, pending } of others) {
    if (record?.standing === 'released') {
      claimable.push({ name, record: record.text, why: 'released' })
      continue
    }
    if (record?.standing === 'revoked') {
      // A read that was still blocked under the name has brought it back.
      if (pending !== undefined) claimable.push({ name, record: record.text, why: 'revoked' })
      continue
    }
    if (record === undefined && (pending ?? 0) === 0) continue
    const beat = record ?? { token: '', beat: 0, leaseMs }
    const before = seen.get(name)
    const verdict = observe(before, beat, nowMs)
    const silent = verdict.observation.sinceMs < nowMs
    if (verdict.action === 'take-over') {
      const why = record === undefined ? 'unknown' : 'lease-expired'
      claimable.push({ name, record: record?.text ?? '', why })
    } else if (
      record !== undefined &&
      (silent || before === undefined) &&
      isProvablyGone(record.detail, here)
    ) {
      // Reading the process table is not free, so only of those that were just met or have missed a beat.
      claimable.push({ name, record: record.text, why: 'host-gone' })
    } else {
      const leftMs = verdict.observation.sinceMs + beat.leaseMs - nowMs
      // Its lease may be shorter than ours, and counts only looks that are close enough for it.
      nextInMs = Math.min(nextInMs, leftMs, lookEveryMs(beat.leaseMs))
    }
    observations.set(name, verdict.observation)
  }
  return { observations, claimable, nextInMs }
}
