import type { Downloads } from '../blob/downloads.ts'
import { PayloadDesk } from '../blob/payload-desk.ts'
import { channels } from '../diagnostics.ts'
import type { MillraceError } from '../errors.ts'
import { MemberRedrives } from '../dead-letters/member-redrives.ts'
import { DeliveryTally } from '../delivery/tally.ts'
import type { Clock } from '../lifecycle/clock.ts'
import type { Decode } from '../stream/decode.ts'
import type { RawEntry } from '../stream/entry.ts'
import { Aftermath } from './aftermath.ts'
import { isRefusal, type PendingEntry, type Refusal } from './answers.ts'
import type { GroupCommands } from './commands.ts'
import { Condition } from './condition.ts'
import { demandCount } from './credit.ts'
import { Demand } from './demand.ts'
import { Dispatcher, type GroupHandler } from './dispatcher.ts'
import { dueAfterClaimMs } from './due.ts'
import { Held, Holdings } from './held.ts'
import { Intake } from './intake.ts'
import { LeaseGuard } from './lease-guard.ts'
import { leaseLost } from './lease-lost.ts'
import type { Membership } from './membership.ts'
import type { ResolvedGroupOptions } from './options.ts'
import { ParkedEntries } from './parked-entries.ts'
import { reportHandled } from './report.ts'
import { Settler } from './settler.ts'
import { isExhausted, type Outcome } from './verdict.ts'

export interface WorkbenchPorts {
  /** The owner chose to stop at this error. */
  readonly stop: (error: MillraceError) => void
  readonly refused: (membership: Membership, refusal: Refusal) => void
  /** There is room for entries of others again. */
  readonly roomy: () => void
  /** Nothing more is to be read just now. */
  readonly sated: () => void
}

export interface WorkbenchParts<Data> {
  readonly options: ResolvedGroupOptions
  readonly stream: string
  readonly binary: boolean
  readonly clock: Clock
  readonly commands: GroupCommands
  readonly downloads: Downloads
  readonly decode: Decode<Data>
  readonly handler: GroupHandler<Data>
  readonly ports: WorkbenchPorts
}

/**
 * Everything that happens to entries inside this process, from their arrival until Redis has confirmed
 * what became of them. It outlives connections: an entry is known by its id as long as it is here.
 */
export class Workbench<Data> {
  readonly #options: ResolvedGroupOptions
  readonly #clock: Clock
  readonly #ports: WorkbenchPorts
  readonly #facts: { readonly stream: string; readonly name: string }
  readonly #tally: DeliveryTally
  readonly #holdings = new Holdings()
  readonly #dispatcher: Dispatcher<Data>
  readonly #desk: PayloadDesk<Data, Held>
  readonly #settler: Settler
  readonly #parked: ParkedEntries
  readonly #aftermath: Aftermath
  readonly #intake: Intake
  readonly #redrives: MemberRedrives
  readonly #changes = new Condition()
  readonly #demand: Demand
  readonly #guard: LeaseGuard
  #paused = false
  #draining = false

  constructor(parts: WorkbenchParts<Data>) {
    const { options, clock, commands } = parts
    this.#options = options
    this.#clock = clock
    this.#ports = parts.ports
    this.#facts = { stream: parts.stream, name: options.name }
    const { stop, refused } = parts.ports
    const changed = (): void => {
      this.#changes.changed()
    }
    const kept = (): void => {
      this.#demand.gained()
    }
    const ready = (held: Held): void => {
      this.#dispatcher.enqueue(held)
      this.#dispatcher.pump()
    }
    this.#tally = new DeliveryTally(parts.stream, options.name, 'group')
    this.#intake = new Intake(options, clock, this.#holdings)
    this.#demand = new Demand(options.take, clock, () => {
      this.#giveBack()
    })
    this.#guard = new LeaseGuard(clock, () => {
      this.abortRunning(leaseLost('no beat was confirmed in time', this.#facts))
    })
    this.#desk = new PayloadDesk(parts.downloads, options.handlerTimeoutMs)
    this.#dispatcher = new Dispatcher({
      clock,
      concurrency: options.concurrency,
      handlerTimeoutMs: options.handlerTimeoutMs,
      decode: (entry, incarnation, held, delivery) =>
        this.#desk.settle(held, parts.decode(entry, incarnation), delivery),
      settled: (held) => {
        this.#desk.settled(held)
      },
      handler: parts.handler,
      permit: () => (this.#mayServe ? this.#guard.permit : undefined),
      starting: () => {
        this.#demand.started()
      },
      finished: (held, outcome) => {
        this.#finished(held, outcome)
      },
      finishedLost: (held, outcome) => {
        if (outcome) reportHandled(held, outcome, clock, this.#facts, this.#tally)
        changed()
      },
    })
    this.#settler = new Settler(
      commands,
      clock,
      {
        settled: (held) => {
          this.#drop(held)
        },
        expired: (held) => {
          this.#expired(held)
        },
        recorded: (held, attempt) => {
          this.#parked.recorded(held, attempt)
        },
        foreign: (held) => {
          this.#parked.refused(held)
        },
        full: () => {
          this.#aftermath.full()
        },
        refused,
        rested: changed,
      },
      this.#facts,
    )
    this.#parked = new ParkedEntries({
      clock,
      holdings: this.#holdings,
      wanted: () =>
        Math.min(options.concurrency + 32, this.#demand.open) - this.#dispatcher.waiting,
      mayServe: () => this.#mayServe,
      fetch: (ids) => commands.fetch(ids, parts.binary, { signal: this.#guard.membership?.signal }),
      recordStart: (held) => {
        this.#settler.writeAttempt(held, held.attempt + 1)
      },
      isExhausted: (held) => isExhausted(held.attempt, options),
      exhausted: (held) => {
        this.#aftermath.exhausted(held)
      },
      expired: (held) => {
        this.#aftermath.expired(held)
        this.#reportExpired()
      },
      ready,
      failed: (error) => {
        channels.loopFailed.publish({ loop: 'fetch', ...this.#facts, error })
      },
    })
    this.#aftermath = new Aftermath({
      options,
      clock,
      holdings: this.#holdings,
      settler: this.#settler,
      parked: this.#parked,
      facts: this.#facts,
      stop,
      kept,
    })
    this.#redrives = new MemberRedrives({
      options,
      clock,
      commands: commands.redrives,
      binary: parts.binary,
      facts: this.#facts,
      waiting: () => this.#dispatcher.waiting,
      open: () => this.#demand.open,
      mayServe: () => this.#mayServe,
      ready,
      stop,
      refused,
      kept,
      changed,
    })
  }

  /** Redriven events, which are apart from those of the stream. */
  get redrives(): MemberRedrives {
    return this.#redrives
  }

  /** Under which membership entries are handled and settled. */
  get membership(): Membership | undefined {
    return this.#guard.membership
  }

  set membership(membership: Membership | undefined) {
    this.#guard.membership = membership
    this.#settler.membership = membership
    this.#redrives.membership = membership
    if (membership === undefined) return
    this.#demand.gained()
    this.#resume()
  }

  set paused(paused: boolean) {
    this.#paused = paused
    if (!paused) this.#resume()
    this.#changes.changed()
  }

  /** Entries that are pending for this member as far as it knows. */
  get holdings(): Holdings {
    return this.#holdings
  }

  /** How many entries came by reading, in all. */
  get received(): number {
    return this.#intake.received
  }

  /** How many more entries of other members it can take. */
  get room(): number {
    const asked = this.#draining ? 0 : this.#demand.open - this.#dispatcher.waiting
    return Math.max(Math.min(this.#options.maxParked, asked) - this.#holdings.parked, 0)
  }

  /** How many entries of dead members it can take: one member should not have all of them. */
  get quarantineRoom(): number {
    if (this.#demand.isLimited) return this.room
    return Math.min(this.room, Math.max(MOST_IN_QUARANTINE - this.#parked.inQuarantine, 0))
  }

  /** The lease is certain until a later moment. */
  confirmed(): void {
    this.#guard.confirmed()
    this.#resume()
  }

  /** On demand: so many more handlers may start. */
  ask(count: number): void {
    this.#demand.ask(count)
    if (count === 0) return
    this.#resume()
    this.#ports.roomy()
  }

  /** Stops settling and starting while the member changes its name; handlers run on. */
  suspend(): void {
    this.#settler.membership = undefined
    this.#redrives.membership = undefined
    this.#guard.suspend()
  }

  /** The count of the next read, 0 while there is no credit. */
  wants(): number {
    const { permit } = this.#guard
    if (permit === undefined || this.#paused || this.#draining) return 0
    if (this.#clock.monotonicMs() >= permit.untilMs) return 0
    if (!this.#demand.isLimited) return this.#intake.wants()
    return demandCount(this.#demand.open - this.#dispatcher.waiting, this.#holdings, this.#options)
  }

  credit(signal: AbortSignal): Promise<void> {
    return this.#changes.until(() => this.wants() > 0, signal)
  }

  /** Takes in what was read; {@link pump} starts it. */
  receive(entries: readonly RawEntry[]): void {
    if (entries.length > 0 && channels.received.hasSubscribers) {
      channels.received.publish({ ...this.#facts, by: 'group', entries })
    }
    for (const held of this.#intake.take(entries)) {
      if (this.#draining) this.#aftermath.release(held)
      else this.#dispatcher.enqueue(held)
    }
    if (entries.length > 0) this.#demand.met(this.#dispatcher.waiting)
  }

  pump(): void {
    this.#dispatcher.pump()
  }

  /** Takes in entries that are pending for this member without having been read by it. */
  adopt(
    entries: readonly PendingEntry[],
    origin: { redelivered: boolean; quarantined: boolean },
  ): void {
    const nowMs = this.#clock.monotonicMs()
    const { isLimited } = this.#demand
    const quarantined = origin.quarantined && !isLimited
    for (const entry of entries) {
      if (this.#holdings.has(entry.id)) continue
      const held = new Held(entry.id, 'parked', entry.attempt, nowMs, { ...origin, quarantined })
      held.dueMs = dueAfterClaimMs(entry, nowMs, this.#options.backoff)
      this.#holdings.add(held)
      // Taken on demand means started, so the attempt in which the member died counts.
      if (origin.quarantined && isLimited) this.#settler.writeAttempt(held, ++held.attempt)
      this.#parked.add(held)
    }
    this.#demand.gained()
    this.#parked.serve()
  }

  /** Drops everything: the entries are somebody else's, or no longer exist. */
  forget(reason: Error): void {
    this.#settler.forget()
    this.#parked.clear()
    this.#dispatcher.takeWaiting()
    this.#dispatcher.disown(reason)
    this.#redrives.forget()
    for (const held of [...this.#holdings.all()]) this.#lose(held)
    this.#changes.changed()
  }

  /**
   * Makes held entries pending again that somebody took out of the native group, and drops those that
   * are another member's meanwhile or have left the stream.
   */
  async restore(
    missing: readonly Held[],
    commands: GroupCommands,
    membership: Membership,
  ): Promise<void> {
    if (missing.length === 0) return
    const mine = await commands.restore(membership.identity, missing, { signal: membership.signal })
    if (isRefusal(mine)) return
    const kept = new Set(mine)
    const lost = missing.filter((held) => !kept.has(held.id) && held.phase !== 'settling')
    this.#dispatcher.disown(leaseLost('the events are no longer its own', this.#facts), lost)
    for (const held of lost) this.#lose(held)
    this.#changes.changed()
  }

  /** Starts nothing any more, and gives back at once what was not started. */
  drain(): void {
    this.#draining = true
    this.#aftermath.drain()
    this.#release()
    this.#redrives.drain()
  }

  /** Resolves when no handler runs and everything is written, or the signal fires. */
  finished(signal: AbortSignal): Promise<void> {
    return this.#changes.until(
      () => this.#dispatcher.running === 0 && !this.#settler.hasWork && !this.#redrives.hasWork,
      signal,
    )
  }

  /** The ids of events whose handlers run. */
  running(): string[] {
    return this.#dispatcher.runningIds()
  }

  abortRunning(reason: Error): void {
    this.#dispatcher.abortRunning(reason)
  }

  close(): void {
    this.#demand.close()
    this.#guard.close()
    this.#parked.clear()
    this.#dispatcher.close()
    this.#desk.close()
    this.#settler.membership = undefined
    this.#settler.forget()
    this.#redrives.close()
  }

  get #mayServe(): boolean {
    const isHeldBack = this.#paused || this.#draining || this.#demand.open <= 0
    return !isHeldBack && this.#guard.permit !== undefined
  }

  /** Nobody has asked for a while: others may have what waits here. */
  #giveBack(): void {
    this.#ports.sated()
    if (this.#draining || this.#guard.membership === undefined) return
    this.#release()
    this.#redrives.giveBack()
  }

  /** Gives back at once what was not started. */
  #release(): void {
    for (const held of this.#dispatcher.takeWaiting()) {
      if (held.redriven) this.#redrives.release(held)
      else this.#aftermath.release(held)
    }
    for (const held of this.#holdings.all()) {
      if (held.phase === 'parked') this.#aftermath.release(held)
    }
    this.#parked.clear()
  }

  #resume(): void {
    this.#parked.serve()
    this.#redrives.serve()
    this.#dispatcher.pump()
    this.#changes.changed()
  }

  #finished(held: Held, outcome: Outcome): void {
    const { quarantined } = held
    this.#intake.handled()
    reportHandled(held, outcome, this.#clock, this.#facts, this.#tally)
    if (held.redriven) {
      this.#redrives.finished(held, outcome)
    } else {
      this.#aftermath.finish(held, outcome)
      this.#parked.finished(held)
      if (quarantined && this.#parked.inQuarantine < MOST_IN_QUARANTINE / 4) this.#ports.roomy()
    }
    this.#changes.changed()
  }

  #lose(held: Held): void {
    held.delivery?.conclude(false)
    this.#holdings.drop(held)
  }

  #drop(held: Held): void {
    held.delivery?.conclude(true)
    this.#holdings.drop(held)
    this.#changes.changed()
  }

  #expired(held: Held): void {
    this.#reportExpired()
    this.#drop(held)
  }

  #reportExpired(): void {
    const from = this.#guard.membership?.identity.name ?? ''
    channels.claimed.publish({ ...this.#facts, from, events: 0, expired: 1 })
  }
}

/** Entries in quarantine run one by one, so that a few are enough for a while. */
const MOST_IN_QUARANTINE = 64
