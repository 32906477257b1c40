import type { PendingEntry } from './answers.ts'
import type { Departures, Held, Holdings } from './held.ts'

export interface Differences {
  /** Pending for the member, and it does not know them: a reply was lost, or is under way. */
  readonly unknown: readonly PendingEntry[]
  /** Held by the member, and not pending for it: somebody took them out behind its back. */
  readonly missing: readonly Held[]
}

/**
 * Compares what Redis calls pending for a member with what it holds.
 *
 * @param heldBefore what it held when Redis was asked; what came later cannot be missing
 */
export function compareHoldings(
  pending: readonly PendingEntry[],
  heldBefore: readonly Held[],
  holdings: Pick<Holdings, 'get' | 'has'>,
): Differences {
  const ids = new Set<string>()
  const unknown: PendingEntry[] = []
  for (const entry of pending) {
    ids.add(entry.id)
    if (!holdings.has(entry.id)) unknown.push(entry)
  }
  const missing = heldBefore.filter(
    // One that is being settled is meant to disappear.
    (held) => !ids.has(held.id) && held.phase !== 'settling' && holdings.get(held.id) === held,
  )
  return { unknown, missing }
}

/**
 * Which of them were never here: what was settled or given back since the list was asked for is in an older
 * list still, and what was under way then has come meanwhile.
 */
export function neverHeld(
  unknown: readonly PendingEntry[],
  holdings: Pick<Holdings, 'has'>,
  departures: Pick<Departures, 'has'>,
): PendingEntry[] {
  return unknown.filter(({ id }) => !holdings.has(id) && !departures.has(id))
}

/**
 * When a difference between the two counts is worth a comparison: it has to be seen twice in a row,
 * because events in flight look like one, and alarms that found nothing make the next one slower.
 */
export class CountAlarm {
  #seen = 0
  #quietFor = 0
  #patience = 1

  /** Takes in one beat; answers whether to compare now. */
  look(pending: number, least: number, most: number): boolean {
    if (this.#quietFor > 0) this.#quietFor--
    if (pending >= least && pending <= most) {
      this.#seen = 0
      return false
    }
    this.#seen++
    return this.#seen >= 2 && this.#quietFor === 0
  }

  /** Takes in whether the comparison found anything. */
  compared(foundAnything: boolean): void {
    this.#seen = 0
    this.#patience = foundAnything ? 1 : Math.min(this.#patience * 2, 64)
    this.#quietFor = foundAnything ? 0 : this.#patience
  }
}
