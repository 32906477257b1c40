import type { Delivery } from '../delivery/context.ts'

/**
 * Where an entry that this member holds is:
 * `parked` (without payload, until it is due) → `ready` (with payload) → `running` → `settling`
 * (handled; Redis has not confirmed it yet) → gone, or `parked` again.
 */
export type Phase = 'parked' | 'ready' | 'running' | 'settling'

/** One entry that is pending for this member. */
export class Held {
  readonly id: string
  /** The id of the event in its stream. */
  eventId: string
  /** Whether it was redriven: `id` is then its id on the redrive stream. */
  redriven = false
  phase: Phase
  /** The stored fields while it is ready. */
  fields: readonly (string | Buffer)[] | undefined
  bytes: number
  /** The number of the attempt that runs or comes next, from 1. */
  attempt: number
  /** Whether another member may have started it. */
  readonly redelivered: boolean
  /** Whether it was claimed from a dead member: it may be what killed it, and runs alone. */
  quarantined: boolean
  /** When it came to this process. */
  readonly receivedMs: number
  /** When it came here, or became due again. */
  readyMs: number
  startedMs = 0
  dueMs = 0
  delivery: Delivery | undefined
  /** The W3C trace context that the event carries, if it does. */
  traceparent: string | undefined
  timedOut = false
  /** Taken away: whatever its handler does no longer counts. */
  lost = false

  constructor(
    id: string,
    phase: Phase,
    attempt: number,
    nowMs: number,
    origin: { readonly redelivered: boolean; readonly quarantined: boolean },
  ) {
    this.id = id
    this.eventId = id
    this.phase = phase
    this.fields = undefined
    this.bytes = 0
    this.attempt = attempt
    this.receivedMs = nowMs
    this.readyMs = nowMs
    this.redelivered = origin.redelivered
    this.quarantined = origin.quarantined
  }

  /** Tells entries of the stream and redriven ones apart, which have ids of their own. */
  get key(): string {
    return this.redriven ? `redrive ${this.id}` : this.id
  }
}

/** The ids of entries that left since somebody began to look, until they are disposed of. */
export interface Departures extends Disposable {
  has(id: string): boolean
}

/** Everything that this member holds, counted for credit. */
export class Holdings {
  readonly #departures = new Set<Set<string>>()
  readonly #byId = new Map<string, Held>()
  #parked = 0
  #settling = 0
  #bytes = 0

  /** All entries, parked ones too: what Redis should call pending for this member. */
  get size(): number {
    return this.#byId.size
  }

  get parked(): number {
    return this.#parked
  }

  /** Entries that are ready, running or settling. */
  get active(): number {
    return this.#byId.size - this.#parked
  }

  /** Entries that are handled, of which Redis has not confirmed it. */
  get settling(): number {
    return this.#settling
  }

  get bytes(): number {
    return this.#bytes
  }

  has(id: string): boolean {
    return this.#byId.has(id)
  }

  get(id: string): Held | undefined {
    return this.#byId.get(id)
  }

  all(): Iterable<Held> {
    return this.#byId.values()
  }

  /**
   * Notes from now on what leaves. A list that Redis gives may be older than the answer that an entry of it
   * is settled: such an entry is neither held any more nor unknown.
   */
  watchDepartures(): Departures {
    const ids = new Set<string>()
    this.#departures.add(ids)
    return {
      has: (id) => ids.has(id),
      [Symbol.dispose]: () => {
        this.#departures.delete(ids)
      },
    }
  }

  add(held: Held): void {
    this.#byId.set(held.id, held)
    if (held.phase === 'parked') this.#parked++
    this.#bytes += held.bytes
  }

  /** Gives up the payload until the entry is due. */
  park(held: Held): void {
    if (held.phase === 'settling') this.#settling--
    held.phase = 'parked'
    held.fields = undefined
    this.#bytes -= held.bytes
    held.bytes = 0
    this.#parked++
  }

  unpark(held: Held, fields: readonly (string | Buffer)[], bytes: number): void {
    held.phase = 'ready'
    held.fields = fields
    held.bytes = bytes
    this.#bytes += bytes
    this.#parked--
  }

  /** It is handled, given back or given up, as soon as Redis confirms it. */
  settle(held: Held): void {
    if (held.phase === 'parked') this.#parked--
    if (held.phase !== 'settling') this.#settling++
    held.phase = 'settling'
  }

  drop(held: Held): void {
    if (this.#byId.get(held.id) !== held) return
    this.#byId.delete(held.id)
    if (this.#departures.size > 0) for (const ids of this.#departures) ids.add(held.id)
    if (held.phase === 'parked') this.#parked--
    if (held.phase === 'settling') this.#settling--
    this.#bytes -= held.bytes
  }
}
