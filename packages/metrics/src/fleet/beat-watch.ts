import type { LeaseHolder } from './companions.ts'

/** How many hold a lease, and of how many nobody can say yet because they were seen only once. */
export interface Manning {
  readonly alive: number
  readonly expired: number
  readonly isKnown: boolean
}

/** What was seen of one holder, and when its beat was first seen as it is. */
interface Seen {
  readonly beat: string
  readonly sinceMs: number
  readonly hasMoved: boolean
}

/**
 * Tells the living from the dead by their beats, as the runtime does: one whose beat stands still for a
 * whole lease on our own clock has expired. No wall clock takes part.
 */
export class BeatWatch {
  #seen = new Map<string, Seen>()

  look(holders: readonly LeaseHolder[], nowMs: number): Manning {
    const seen = new Map<string, Seen>()
    let alive = 0
    let expired = 0
    let isKnown = true
    for (const { token, beat, leaseMs } of holders) {
      const before = this.#seen.get(token)
      const now: Seen =
        before !== undefined && before.beat === beat
          ? before
          : { beat, sinceMs: nowMs, hasMoved: before !== undefined }
      seen.set(token, now)
      const isExpired = nowMs - now.sinceMs > leaseMs
      if (isExpired) expired += 1
      else alive += 1
      // Who was seen once, or not for a whole lease, may be alive or not.
      if (!isExpired && !now.hasMoved) isKnown = false
    }
    this.#seen = seen
    return { alive, expired, isKnown: isKnown || expired === holders.length }
  }
}
