import { type Backoff, backoffMs, hashOfId } from '../delivery/retry-schedule.ts'

/**
 * Due times across members: what Redis keeps of a failure is the number of the next attempt and how
 * long the entry has been idle since. From those every member arrives at the same moment.
 */

/** How long an entry waits before the attempt of this number, counted from the failure before it. */
export function waitBeforeMs(id: string, attempt: number, backoff: Backoff): number {
  return attempt > 1 ? backoffMs(attempt - 1, hashOfId(id), backoff) : 0
}

/** When an entry is due that was claimed with this idle time. */
export function dueAfterClaimMs(
  entry: { readonly id: string; readonly attempt: number; readonly idleMs: number },
  nowMs: number,
  backoff: Backoff,
): number {
  return nowMs + Math.max(waitBeforeMs(entry.id, entry.attempt, backoff) - entry.idleMs, 0)
}

/** The idle time to write when giving an entry back, so that its next member finds the due time. */
export function idleAtReleaseMs(
  entry: { readonly id: string; readonly attempt: number },
  leftMs: number,
  backoff: Backoff,
): number {
  return Math.max(waitBeforeMs(entry.id, entry.attempt, backoff) - Math.max(leftMs, 0), 0)
}
