import type { Clock } from '../lifecycle/clock.ts'
import type { RawEntry } from '../stream/entry.ts'
import { DueQueue } from './due-queue.ts'
import type { Held, Holdings } from './held.ts'

export interface ParkedPorts {
  readonly clock: Clock
  readonly holdings: Holdings
  /** How many more entries there is use for. */
  wanted(): number
  mayServe(): boolean
  fetch(ids: readonly string[]): Promise<readonly (RawEntry | undefined)[]>
  /** Records that an entry is about to be started; {@link ParkedEntries.recorded} goes on. */
  recordStart(held: Held): void
  isExhausted(held: Held): boolean
  exhausted(held: Held): void
  expired(held: Held): void
  ready(held: Held): void
  failed(error: Error): void
}

const MOST_FETCHED = 32
const ERROR_PAUSE_MS = 500

/**
 * Entries that wait: for their next attempt, or because they were claimed. When they are due their
 * payload is fetched and they get ready. Those in quarantine go one by one, and each start is recorded
 * before the handler runs: an event that kills the process is found by its starts, and its neighbours
 * are not blamed.
 */
export class ParkedEntries {
  readonly #ports: ParkedPorts
  readonly #queue = new DueQueue()
  readonly #quarantine = new DueQueue()
  #fetching = false
  /** The entry in quarantine whose turn it is. */
  #alone: Held | undefined
  #alonePayload: RawEntry | undefined
  #cancelTimer: (() => void) | undefined
  #timerMs = Number.POSITIVE_INFINITY

  constructor(ports: ParkedPorts) {
    this.#ports = ports
  }

  /** Entries that wait in quarantine. */
  get inQuarantine(): number {
    return this.#quarantine.size
  }

  add(held: Held): void {
    if (held.quarantined) this.#quarantine.push(held)
    else this.#queue.push(held)
    this.#arm()
  }

  /** Gets ready what is due. */
  serve(): void {
    if (this.#queue.size + this.#quarantine.size === 0 || !this.#ports.mayServe()) return
    if (!this.#fetching) void this.#serveQueue()
    if (this.#alone === undefined) this.#serveQuarantine()
    this.#arm()
  }

  /** An attempt is recorded; if it is the start of the one whose turn it is, its handler may run. */
  recorded(held: Held, attempt: number): void {
    const payload = this.#alonePayload
    if (held !== this.#alone || attempt !== held.attempt + 1 || payload === undefined) return
    this.#alonePayload = undefined
    if (this.#isStillParked(held)) this.#getReady(held, payload)
    else this.#alone = undefined
  }

  /** The start could not be recorded: the entry is pending for somebody else, or for nobody. */
  refused(held: Held): void {
    if (held !== this.#alone) return
    this.#alone = undefined
    this.#alonePayload = undefined
    if (this.#isStillParked(held)) this.#postpone(held)
    this.serve()
  }

  /** The handler of an entry has settled; the next one in quarantine may have its turn. */
  finished(held: Held): void {
    if (held === this.#alone) this.#alone = undefined
    if (this.#queue.size + this.#quarantine.size > 0) this.serve()
  }

  clear(): void {
    this.#queue.clear()
    this.#quarantine.clear()
    this.#alone = undefined
    this.#alonePayload = undefined
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    this.#timerMs = Number.POSITIVE_INFINITY
  }

  async #serveQueue(): Promise<void> {
    this.#fetching = true
    try {
      while (this.#ports.mayServe() && !this.#isFull) {
        const due = this.#takeDue()
        if (due.length === 0) break
        await this.#fetch(due)
      }
    } finally {
      this.#fetching = false
      this.#arm()
    }
  }

  #takeDue(): Held[] {
    const nowMs = this.#ports.clock.monotonicMs()
    const due: Held[] = []
    const most = Math.min(MOST_FETCHED, this.#ports.wanted())
    while (due.length < most) {
      const held = this.#queue.takeDue(nowMs)
      if (held === undefined) break
      if (!this.#isStillParked(held)) continue
      if (this.#ports.isExhausted(held)) this.#ports.exhausted(held)
      else due.push(held)
    }
    return due
  }

  async #fetch(due: readonly Held[]): Promise<void> {
    const entries = await this.#payloads(due)
    for (const [i, held] of due.entries()) {
      if (!this.#isStillParked(held)) continue
      const entry = entries?.[i]
      if (entry !== undefined) this.#getReady(held, entry)
      else if (entries !== undefined) this.#ports.expired(held)
      else this.#postpone(held)
    }
  }

  #serveQuarantine(): void {
    const nowMs = this.#ports.clock.monotonicMs()
    for (;;) {
      const held = this.#quarantine.takeDue(nowMs)
      if (held === undefined) return
      if (!this.#isStillParked(held)) continue
      if (!this.#ports.isExhausted(held)) {
        this.#alone = held
        void this.#startAlone(held)
        return
      }
      this.#ports.exhausted(held)
    }
  }

  async #startAlone(held: Held): Promise<void> {
    const entries = await this.#payloads([held])
    // Cleared meanwhile: it is no longer its turn.
    if (this.#alone !== held) return
    const entry = entries?.[0]
    if (entry !== undefined && this.#isStillParked(held)) {
      this.#alonePayload = entry
      this.#ports.recordStart(held)
      return
    }
    this.#alone = undefined
    if (this.#isStillParked(held)) {
      if (entries === undefined) this.#postpone(held)
      else this.#ports.expired(held)
    }
    this.serve()
  }

  async #payloads(due: readonly Held[]): Promise<readonly (RawEntry | undefined)[] | undefined> {
    try {
      return await this.#ports.fetch(due.map((held) => held.id))
    } catch (error) {
      this.#ports.failed(error as Error)
      return undefined
    }
  }

  #getReady(held: Held, [, fields]: RawEntry): void {
    let bytes = 0
    for (const field of fields) bytes += field.length
    held.readyMs = this.#ports.clock.monotonicMs()
    this.#ports.holdings.unpark(held, fields, bytes)
    this.#ports.ready(held)
  }

  #postpone(held: Held): void {
    held.dueMs = this.#ports.clock.monotonicMs() + ERROR_PAUSE_MS
    this.add(held)
  }

  /** Whether nobody has taken the entry away or given it back meanwhile. */
  #isStillParked(held: Held): boolean {
    return held.phase === 'parked' && this.#ports.holdings.get(held.id) === held
  }

  /** Whether enough is ready, so that what is due is fetched only when some of it is done. */
  get #isFull(): boolean {
    return this.#ports.wanted() <= 0
  }

  /**
   * One timer, for the entry that is due first. What is due already and could not be served waits for
   * whoever is in its way: a handler that finishes, a permit, the end of a pause.
   */
  #arm(): void {
    const { clock } = this.#ports
    const nowMs = clock.monotonicMs()
    let nextMs = Number.POSITIVE_INFINITY
    if (!this.#fetching && this.#queue.nextMs > nowMs) nextMs = this.#queue.nextMs
    if (this.#alone === undefined && this.#quarantine.nextMs > nowMs) {
      nextMs = Math.min(nextMs, this.#quarantine.nextMs)
    }
    if (nextMs >= this.#timerMs) return
    this.#cancelTimer?.()
    this.#timerMs = nextMs
    this.#cancelTimer = clock.after(Math.ceil(nextMs - nowMs), () => {
      this.#cancelTimer = undefined
      this.#timerMs = Number.POSITIVE_INFINITY
      this.serve()
    })
  }
}
