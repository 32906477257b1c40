import type { Clock } from '../lifecycle/clock.ts'
import type { RawEntry } from '../stream/entry.ts'
import { holdTarget, largestSeen, Pace, readCount, UNKNOWN_BYTES } from './credit.ts'
import { Held, type Holdings } from './held.ts'
import type { ResolvedGroupOptions } from './options.ts'

/** Decides how much to read, from how much is held and how quickly it is handled; takes in what came. */
export class Intake {
  readonly #options: ResolvedGroupOptions
  readonly #clock: Clock
  readonly #holdings: Holdings
  readonly #pace = new Pace()
  #handled = 0
  #received = 0
  #largestBytes = UNKNOWN_BYTES

  constructor(options: ResolvedGroupOptions, clock: Clock, holdings: Holdings) {
    this.#options = options
    this.#clock = clock
    this.#holdings = holdings
  }

  /** How many entries came by reading, in all. */
  get received(): number {
    return this.#received
  }

  /** One more is handled. */
  handled(): void {
    this.#handled++
  }

  /** The count of the next read, 0 while there is no credit. */
  wants(): number {
    const { concurrency, prefetch, maxInFlightBytes, maxParked } = this.#options
    const { active, bytes, parked } = this.#holdings
    this.#pace.sample(this.#handled, this.#clock.monotonicMs(), active === 0)
    return readCount({
      held: active,
      heldBytes: bytes,
      parked,
      target: holdTarget(concurrency, this.#pace.perMs, prefetch),
      maxBytes: maxInFlightBytes,
      maxParked,
      largestBytes: this.#largestBytes,
    })
  }

  /** Holds what was read, but for what is held already; answers the new ones. */
  take(entries: readonly RawEntry[]): Held[] {
    const nowMs = this.#clock.monotonicMs()
    const taken: Held[] = []
    let largest = 0
    this.#received += entries.length
    for (const [id, fields] of entries) {
      if (this.#holdings.has(id)) continue
      const held = new Held(id, 'ready', 1, nowMs, READ)
      held.fields = fields
      held.bytes = sizeOf(fields)
      if (held.bytes > largest) largest = held.bytes
      this.#holdings.add(held)
      taken.push(held)
    }
    if (largest > 0) this.#largestBytes = largestSeen(this.#largestBytes, largest)
    return taken
  }
}

/** The origin of what was read: nobody had it before. */
const READ = Object.freeze({ redelivered: false, quarantined: false })

function sizeOf(fields: readonly (string | Buffer)[]): number {
  let bytes = 0
  for (const field of fields) bytes += field.length
  return bytes
}
