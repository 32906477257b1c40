import { channels } from '../../diagnostics.ts'
import { isMillraceError, MillraceError } from '../../errors.ts'
import type { Clock } from '../../lifecycle/clock.ts'
import type { OutgoingEvent } from '../encode.ts'
import type { Outbox } from '../outbox.ts'
import { failEvents } from '../outcome.ts'
import { type Batch, keepUnresolved, unkeep, type Window } from '../window.ts'
import { ageMs, assertFresh } from './age.ts'
import type { ResolvedSpoolOptions } from './options.ts'
import { ReadAhead } from './read-ahead.ts'
import type { CommitFacts, SpoolCommit, SpoolIdentity } from './spool-file.ts'
import type { SpoolThread } from './spool-thread.ts'
import { eventsToText, type SpooledBatch } from './spooled-batch.ts'
import type { FileFacts } from './verify.ts'

/** What one transaction takes at most. */
const COMMIT_BYTES = 8 * 1024 * 1024
const COMMIT_BATCHES = 4_096
/** With so few batches left and Redis answering, new events wait until the spool is empty. */
const NEARLY_EMPTY_BATCHES = 64

export interface LaneOwner {
  /** There is something to send, or something has become safe. */
  wake(): void
  /** The spool cannot be trusted any more. */
  fail(error: MillraceError): void
}

export interface LaneSettings {
  readonly thread: SpoolThread
  readonly identity: SpoolIdentity
  /** The event stream's name, for whoever looks on. */
  readonly streamName: string
  readonly options: ResolvedSpoolOptions
  readonly clock: Clock
}

/**
 * The way of a producer's events over one spool file: into it while Redis is away, and out of it in the
 * same order. Batches have positions from 1 on: resolved ≤ taken ≤ appended. What is taken is in the
 * window; what is resolved is in the stream, and leaves the file.
 */
export class Lane {
  readonly #settings: LaneSettings
  readonly #owner: LaneOwner
  readonly #readAhead: ReadAhead
  #spooling = false
  /** Whether everything goes to disk, although Redis takes it. */
  #isPressed = false
  /** Whether Redis has confirmed something lately. */
  #isFlowing = true
  #flowedAtMs = 0
  #file: string | undefined
  #epoch: string
  #appended: number
  #committed: number
  #taken: number
  #resolved: number
  #removed: number
  /** The sequence of the next event that is written. */
  #nextFirst = 1
  #events: number
  #bytes: number
  #oldestAtMs: number | undefined
  readonly #pending: Batch<OutgoingEvent>[] = []
  #renumbering: { readonly done: PromiseWithResolvers<void> } | undefined
  #writing: Promise<void> | undefined

  /** On the file of a process that has ended, or on one of its own that is created when it is needed. */
  constructor(settings: LaneSettings, owner: LaneOwner, epoch: string, adopted?: FileFacts) {
    this.#settings = settings
    this.#owner = owner
    this.#epoch = epoch
    this.#file = adopted?.path
    this.#appended = this.#committed = adopted?.appended ?? 0
    this.#taken = this.#resolved = this.#removed = adopted?.removed ?? 0
    this.#events = adopted?.events ?? 0
    this.#bytes = adopted?.bytes ?? 0
    this.#oldestAtMs = adopted?.oldestAtMs
    this.#readAhead = new ReadAhead(settings, owner, this.#taken)
  }

  /** Batches that are not in the window yet. */
  get backlog(): number {
    return this.#appended - this.#taken
  }

  get taken(): number {
    return this.#taken
  }

  /** Whether everything that came into the spool is in the stream. */
  get isEmpty(): boolean {
    return this.#resolved === this.#appended
  }

  /** When Redis has confirmed something for the last time. */
  get flowedAtMs(): number {
    return this.#flowedAtMs
  }

  /** Redis has confirmed something. */
  flows(): void {
    this.#isFlowing = true
    this.#flowedAtMs = this.#settings.clock.monotonicMs()
  }

  /** Redis has confirmed nothing for too long, and nothing waits but what is on disk. */
  ebbs(): void {
    this.#isFlowing = false
  }

  /** While it is, everything stays on disk that comes there. */
  press(isPressed: boolean): void {
    this.#isPressed = isPressed
  }

  /** Redis has confirmed nothing for too long, or is to be spared: from the first unresolved event on, all goes to disk. */
  begin(window: Window<OutgoingEvent>, outbox: Outbox): void {
    this.#isFlowing = false
    this.#spooling = true
    if (this.backlog === 0) this.#nextFirst = window.nextSequence
    const kept = keepUnresolved(window, this.#appended + 1)
    if (kept.length > 0) {
      // Batches that are not in the spool are in the window only when the spool has none behind them.
      this.#appended += kept.length
      this.#taken = this.#appended
      this.#readAhead.skipTo(this.#taken)
      for (const batch of kept) this.#account(batch)
      this.#pending.push(...kept)
    }
    this.absorb(outbox)
    this.#write()
  }

  /** Takes what was published meanwhile, unless it is about to be its turn anyway. */
  absorb(outbox: Outbox): void {
    if (!this.#spooling) return
    if (this.#isFlowing && !this.#isPressed && this.backlog <= NEARLY_EMPTY_BATCHES) {
      if (this.backlog === 0) this.#spooling = false
      return
    }
    this.#refuseWhatDoesNotFit(outbox)
    const everything = Number.POSITIVE_INFINITY
    for (;;) {
      const { events, bytes } = outbox.take(everything, everything, true)
      if (events.length === 0) break
      const batch: Batch<OutgoingEvent> = {
        events,
        bytes,
        first: 0,
        outstanding: false,
        unknown: false,
        refusal: undefined,
        position: ++this.#appended,
        answered: false,
      }
      for (const { call } of events) call.firstBatch ??= batch
      this.#account(batch)
      this.#pending.push(batch)
    }
    this.#write()
  }

  /** The next batch for the window; undefined while it has to be read from disk, which wakes the owner. */
  take(): { position: number; events: readonly OutgoingEvent[]; bytes: number } | undefined {
    const next = this.#readAhead.shift()
    this.#readAhead.fill(this.#file, this.#committed)
    if (next !== undefined) this.#taken = next.position
    return next
  }

  /** Everything up to this position is in the stream. */
  resolve(through: number): void {
    if (through <= this.#resolved) return
    this.#resolved = through
    this.#write()
  }

  /** The window goes on under another epoch; resolves once the file says so, too. */
  async renumber(window: Window<OutgoingEvent>): Promise<void> {
    this.#epoch = window.epoch
    this.#nextFirst = window.nextSequence
    if (this.#file === undefined && this.#writing === undefined) return
    this.#renumbering = { done: Promise.withResolvers<void>() }
    const { promise } = this.#renumbering.done
    this.#write()
    await promise
  }

  /** @throws MillraceError `SPOOL_EXPIRED` */
  assertFresh(): void {
    const { maxAgeMs } = this.#settings.options
    const path = this.#file ?? ''
    assertFresh({ path, events: this.#events, oldestAtMs: this.#oldestAtMs }, maxAgeMs)
  }

  /** Lets go of the file once everything that has begun is on disk. */
  async close(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing
    if (this.#file !== undefined) await this.#settings.thread.call('close', this.#file)
  }

  #account({ events, bytes }: Batch<OutgoingEvent>): void {
    this.#events += events.length
    this.#bytes += bytes
  }

  #unaccount({ events, bytes }: Batch<OutgoingEvent>): void {
    this.#events -= events.length
    this.#bytes -= bytes
  }

  /** A call goes into the spool as a whole or not at all. */
  #refuseWhatDoesNotFit(outbox: Outbox): void {
    let room = this.#settings.options.maxBytes - this.#bytes
    let call: OutgoingEvent[] = []
    let bytes = 0
    const decide = (): void => {
      if (bytes <= room) room -= bytes
      else failEvents(this.#settings.streamName, call, this.#fullError())
      call = []
      bytes = 0
    }
    for (const event of outbox.waiting()) {
      if (event.call.settled) continue
      if (call[0] !== undefined && call[0].call !== event.call) decide()
      call.push(event)
      bytes += event.bytes
    }
    if (call.length > 0) decide()
  }

  #fullError(): MillraceError {
    return new MillraceError(
      'SPOOL_FULL',
      `Redis is away, or to be spared, and the spool holds ${this.#bytes} of ${this.#settings.options.maxBytes} bytes`,
    )
  }

  #write(): void {
    if (!this.#isDue()) return
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = undefined
      // Something may have come in between the last look and here.
      this.#write()
      this.#owner.wake()
    })
  }

  #isDue(): boolean {
    return (
      this.#renumbering !== undefined ||
      this.#pending.length > 0 ||
      // Batches on their way in are removed only after they have come in.
      Math.min(this.#resolved, this.#committed) > this.#removed
    )
  }

  /** One transaction after the other, each with everything that has gathered during the one before. */
  async #writeAll(): Promise<void> {
    while (this.#isDue()) {
      const renumbering = this.#renumbering
      const batches = renumbering === undefined ? this.#nextToWrite() : []
      try {
        this.#file ??= await this.#create()
        const through = batches.at(-1)?.position ?? this.#committed
        const removeThrough = Math.min(this.#resolved, through)
        const commit: SpoolCommit = {
          epoch: this.#epoch,
          removeThrough,
          renumber: renumbering !== undefined,
          // What came into the stream meanwhile need not be written any more.
          append: this.#rows(batches.filter(({ position = 0 }) => position > removeThrough)),
        }
        const facts = await this.#settings.thread.call('commit', this.#file, commit)
        this.#committed = through
        this.#removed = removeThrough
        this.#committedTo(facts, batches)
        if (renumbering !== undefined) this.#renumbered(facts, renumbering)
      } catch (error) {
        this.#failed(error, batches, renumbering)
        return
      }
    }
  }

  #create(): Promise<string> {
    const { thread, options, identity } = this.#settings
    return thread.call('create', options.directory, identity, this.#epoch)
  }

  #nextToWrite(): Batch<OutgoingEvent>[] {
    let bytes = 0
    let count = 0
    for (const batch of this.#pending) {
      if (count >= COMMIT_BATCHES || (count > 0 && bytes + batch.bytes > COMMIT_BYTES)) break
      bytes += batch.bytes
      count++
    }
    return this.#pending.splice(0, count)
  }

  #rows(batches: readonly Batch<OutgoingEvent>[]): SpooledBatch[] {
    const atMs = Date.now()
    return batches.map(({ position = 0, first, events, bytes }) => {
      // What comes from the window has its sequence already.
      const row = {
        position,
        first: first === 0 ? this.#nextFirst : first,
        count: events.length,
        bytes,
        atMs,
        events: eventsToText(events),
      }
      this.#nextFirst = row.first + row.count
      return row
    })
  }

  #committedTo(facts: CommitFacts, batches: readonly Batch<OutgoingEvent>[]): void {
    this.#events -= facts.removedEvents
    this.#bytes -= facts.removedBytes
    this.#oldestAtMs = facts.oldestAtMs
    for (const batch of batches) {
      if ((batch.position ?? 0) <= this.#removed) this.#unaccount(batch)
      if (batch.answered) continue
      batch.answered = true
      for (const { call, index } of batch.events) call.keep(index)
    }
    if (channels.spoolChanged.hasSubscribers) this.#report()
    this.#owner.wake()
  }

  #renumbered(facts: CommitFacts, { done }: { readonly done: PromiseWithResolvers<void> }): void {
    this.#renumbering = undefined
    if (facts.nextFirst !== undefined) this.#nextFirst = facts.nextFirst
    done.resolve()
  }

  /** Nothing of what was to be written is on disk. */
  #failed(
    error: unknown,
    batches: readonly Batch<OutgoingEvent>[],
    renumbering: { readonly done: PromiseWithResolvers<void> } | undefined,
  ): void {
    const known = isMillraceError(error)
      ? error
      : new MillraceError('SPOOL_FAILED', 'The spool failed', { cause: error })
    const { streamName, identity } = this.#settings
    channels.loopFailed.publish({
      loop: 'spool',
      stream: streamName,
      name: identity.producerId,
      error: known,
    })
    const lost = [...batches, ...this.#pending.splice(0)]
    for (const batch of lost) {
      unkeep(batch)
      this.#unaccount(batch)
      if (batch.first === 0) failEvents(streamName, batch.events, known)
    }
    this.#appended = this.#committed
    this.#readAhead.cutBackTo(this.#committed)
    this.#taken = Math.min(this.#taken, this.#appended)
    this.#resolved = Math.min(this.#resolved, this.#appended)
    // What is in the stream and could not be removed is tried again with the next transaction.
    this.#removed = Math.max(this.#removed, Math.min(this.#resolved, this.#committed))
    if (this.backlog === 0) this.#spooling = false
    if (renumbering !== undefined) {
      this.#renumbering = undefined
      renumbering.done.reject(known)
    }
    if (known.code === 'SPOOL_CORRUPT' || known.code === 'INTERNAL') this.#owner.fail(known)
  }

  #report(): void {
    channels.spoolChanged.publish({
      stream: this.#settings.streamName,
      producerId: this.#settings.identity.producerId,
      spooling: this.#spooling,
      events: this.#events,
      bytes: this.#bytes,
      oldestAgeMs: ageMs(this.#oldestAtMs),
    })
  }
}
