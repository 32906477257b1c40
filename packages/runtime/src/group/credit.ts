/** How many events one read may ask for, so that what a member holds stays bounded. */
export interface CreditFigures {
  /** Events held: waiting, running, and handled but not settled. */
  readonly held: number
  readonly heldBytes: number
  /** Events that wait for another attempt, without payload. */
  readonly parked: number
  /** How many events it makes sense to hold, from {@link holdTarget}. */
  readonly target: number
  readonly maxBytes: number
  readonly maxParked: number
  /** The largest event seen lately, in bytes. */
  readonly largestBytes: number
}

/** A larger COUNT gains nothing: the client's decoder is the limit from some hundreds on. */
export const LARGEST_READ = 500

/** How much work is held ready, in milliseconds of the member's own pace. */
const READY_MS = 25

/**
 * The count of the next read, 0 to wait. Reads are held back until they are worth a round trip, a
 * quarter of the target, or a member whose handlers are slow would read events one by one.
 */
export function readCount(figures: CreditFigures): number {
  const { held, heldBytes, parked, target, maxBytes, maxParked, largestBytes } = figures
  if (parked >= maxParked) return 0
  const free = target - held
  if (free < Math.ceil(target / 4)) return 0
  // One event is always allowed, however large, or it would never be handled.
  const affordable = Math.floor((maxBytes - heldBytes) / Math.max(largestBytes, 1))
  if (affordable < 1) return held === 0 ? 1 : 0
  return Math.min(free, affordable, LARGEST_READ)
}

/** The count of the next read of a member that takes on demand: what is asked for, as far as it can. */
export function demandCount(
  asked: number,
  held: { readonly active: number; readonly parked: number },
  most: { readonly concurrency: number; readonly maxParked: number },
): number {
  if (held.parked >= most.maxParked) return 0
  return Math.max(Math.min(asked, most.concurrency - held.active, LARGEST_READ), 0)
}

/**
 * How many events a member should hold: what runs at once, as many again, and what its handlers do in
 * a moment. A member with slow handlers so leaves events to the others.
 */
export function holdTarget(concurrency: number, perMs: number, most: number): number {
  return Math.max(
    Math.min(most, Math.max(2 * concurrency, concurrency + Math.ceil(perMs * READY_MS))),
    1,
  )
}

/** Follows the largest event quickly upwards and slowly down. */
export function largestSeen(before: number, largestOfRead: number): number {
  return Math.max(largestOfRead, Math.ceil(before * 0.9))
}

/** What is assumed of an event's size before one was seen: the first read is small. */
export const UNKNOWN_BYTES = 65_536

/** The shortest stretch that says something about the pace, in milliseconds. */
const SHORTEST_SAMPLE_MS = 4

/** How many events per millisecond a member handles while it has some; idle stretches do not count. */
export class Pace {
  #perMs = 0
  #handled = 0
  #sinceMs = 0

  get perMs(): number {
    return this.#perMs
  }

  /**
   * @param handled how many were handled so far, in all
   * @param idle whether the member has run out of work, so that the time since says nothing
   */
  sample(handled: number, nowMs: number, idle: boolean): void {
    const elapsedMs = nowMs - this.#sinceMs
    if (!idle && elapsedMs < SHORTEST_SAMPLE_MS) return
    const perMs = (handled - this.#handled) / Math.max(elapsedMs, 0.1)
    // A stretch with idle time in it tells only how fast the member is at least.
    this.#perMs =
      idle || this.#perMs === 0 ? Math.max(this.#perMs, perMs) : (this.#perMs + perMs) / 2
    this.#handled = handled
    this.#sinceMs = nowMs
  }
}
