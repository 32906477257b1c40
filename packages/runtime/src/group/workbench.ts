import { channels } from '../diagnostics.ts'
import { MillraceError } from '../errors.ts'
import type { Clock } from '../lifecycle/clock.ts'
import type { Decode } from '../stream/decode.ts'
import type { RawEntry } from '../stream/entry.ts'
import { type GroupCommands, isRefusal, type PendingEntry, type Refusal } from './commands.ts'
import { Condition } from './condition.ts'
import { holdTarget, largestSeen, Pace, readCount, UNKNOWN_BYTES } from './credit.ts'
import { Dispatcher, type GroupHandler } from './dispatcher.ts'
import { dueAfterClaimMs, idleAtReleaseMs, waitBeforeMs } from './due.ts'
import { Held, Holdings } from './held.ts'
import { LeaseGuard } from './lease-guard.ts'
import type { Membership } from './membership.ts'
import type { ResolvedGroupOptions } from './options.ts'
import { ParkedEntries } from './parked-entries.ts'
import { reportHandled } from './report.ts'
import { Settler } from './settler.ts'
import { isExhausted, judgeOutcome, type Outcome } from './verdict.ts'

export interface WorkbenchPorts {
  /** The owner chose to stop at this error. */
  stop(error: MillraceError): void
  refused(membership: Membership, refusal: Refusal): void
  /** The quarantine has room again. */
  roomy(): void
}

export interface WorkbenchParts<Data> {
  readonly options: ResolvedGroupOptions
  readonly stream: string
  readonly binary: boolean
  readonly clock: Clock
  readonly commands: GroupCommands
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
  readonly #holdings = new Holdings()
  readonly #dispatcher: Dispatcher<Data>
  readonly #settler: Settler
  readonly #parked: ParkedEntries
  readonly #pace = new Pace()
  readonly #changes = new Condition()
  readonly #guard: LeaseGuard
  #paused = false
  #draining = false
  #handled = 0
  #received = 0
  #largestBytes = UNKNOWN_BYTES

  constructor(parts: WorkbenchParts<Data>) {
    const { options, clock, commands } = parts
    this.#options = options
    this.#clock = clock
    this.#ports = parts.ports
    this.#facts = { stream: parts.stream, name: options.name }
    this.#guard = new LeaseGuard(clock, () => {
      this.abortRunning(leaseLost('no beat was confirmed in time', this.#facts))
    })
    this.#dispatcher = new Dispatcher({
      clock,
      concurrency: options.concurrency,
      handlerTimeoutMs: options.handlerTimeoutMs,
      decode: parts.decode,
      handler: parts.handler,
      permit: () => (this.#paused || this.#draining ? undefined : this.#guard.permit),
      finished: (held, outcome) => {
        this.#finished(held, outcome)
      },
      finishedLost: () => {
        this.#changes.changed()
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
          this.#stop('DEAD_LETTER_FULL', `The dead letters of ${options.name} are full`, undefined)
        },
        refused: (membership, refusal) => {
          parts.ports.refused(membership, refusal)
        },
        rested: () => {
          this.#changes.changed()
        },
      },
      this.#facts,
    )
    this.#parked = new ParkedEntries({
      clock,
      holdings: this.#holdings,
      most: options.concurrency + 32,
      waiting: () => this.#dispatcher.waiting,
      mayServe: () => !this.#paused && !this.#draining && this.#guard.permit !== undefined,
      fetch: (ids) => commands.fetch(ids, parts.binary, { signal: this.#guard.membership?.signal }),
      recordStart: (held) => {
        this.#settler.writeAttempt(held, held.attempt + 1)
      },
      isExhausted: (held) => isExhausted(held.attempt, options),
      exhausted: (held) => {
        this.#exhausted(held)
      },
      expired: (held) => {
        this.#holdings.settle(held)
        this.#settler.ack(held)
        this.#reportExpired(1)
      },
      ready: (held) => {
        this.#dispatcher.enqueue(held)
        this.#dispatcher.pump()
      },
      failed: (error) => {
        channels.loopFailed.publish({ loop: 'fetch', ...this.#facts, error })
      },
    })
  }

  /** Under which membership entries are handled and settled. */
  get membership(): Membership | undefined {
    return this.#guard.membership
  }

  set membership(membership: Membership | undefined) {
    this.#guard.membership = membership
    this.#settler.membership = membership
    if (membership !== undefined) this.#resume()
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
    return this.#received
  }

  /** How many more entries of other members it can take. */
  get room(): number {
    return this.#draining ? 0 : Math.max(this.#options.maxParked - this.#holdings.parked, 0)
  }

  /** How many entries of dead members it can take: one member should not have all of them. */
  get quarantineRoom(): number {
    return Math.min(this.room, Math.max(MOST_IN_QUARANTINE - this.#parked.inQuarantine, 0))
  }

  /** The lease is certain until a later moment. */
  confirmed(): void {
    this.#guard.confirmed()
    this.#resume()
  }

  /** Stops settling and starting while the member changes its name; handlers run on. */
  suspend(): void {
    this.#settler.membership = undefined
    this.#guard.suspend()
  }

  /** The count of the next read, 0 while there is no credit. */
  wants(): number {
    const { permit } = this.#guard
    const nowMs = this.#clock.monotonicMs()
    if (permit === undefined || nowMs >= permit.untilMs || this.#paused || this.#draining) return 0
    const { concurrency, prefetch, maxInFlightBytes, maxParked } = this.#options
    this.#pace.sample(this.#handled, nowMs, this.#holdings.active === 0)
    return readCount({
      held: this.#holdings.active,
      heldBytes: this.#holdings.bytes,
      parked: this.#holdings.parked,
      target: holdTarget(concurrency, this.#pace.perMs, prefetch),
      maxBytes: maxInFlightBytes,
      maxParked,
      largestBytes: this.#largestBytes,
    })
  }

  credit(signal: AbortSignal): Promise<void> {
    return this.#changes.until(() => this.wants() > 0, signal)
  }

  /** Takes in what was read; {@link pump} starts it. */
  receive(entries: readonly RawEntry[]): void {
    const nowMs = this.#clock.monotonicMs()
    let largest = 0
    for (const [id, fields] of entries) {
      this.#received++
      if (this.#holdings.has(id)) continue
      const held = new Held(id, 'ready', 1, nowMs, READ)
      held.fields = fields
      held.bytes = sizeOf(fields)
      if (held.bytes > largest) largest = held.bytes
      this.#holdings.add(held)
      if (this.#draining) this.#release(held, nowMs)
      else this.#dispatcher.enqueue(held)
    }
    if (largest > 0) this.#largestBytes = largestSeen(this.#largestBytes, largest)
  }

  pump(): void {
    this.#dispatcher.pump()
  }

  /** Takes in entries that are pending for this member without having been read by it. */
  adopt(entries: readonly PendingEntry[], origin: { redelivered: boolean; quarantined: boolean }): void {
    const nowMs = this.#clock.monotonicMs()
    for (const entry of entries) {
      if (this.#holdings.has(entry.id)) continue
      const held = new Held(entry.id, 'parked', entry.attempt, nowMs, origin)
      held.dueMs = dueAfterClaimMs(entry, nowMs, this.#options.backoff)
      this.#holdings.add(held)
      this.#parked.add(held)
    }
    this.#parked.serve()
  }

  /** Drops everything: the entries are somebody else's, or no longer exist. */
  forget(reason: Error): void {
    this.#settler.forget()
    this.#parked.clear()
    this.#dispatcher.takeWaiting()
    this.#dispatcher.disown(reason)
    for (const held of [...this.#holdings.all()]) this.#holdings.drop(held)
    this.#changes.changed()
  }

  /**
   * Makes held entries pending again that somebody took out of the native group, and drops those that
   * are another member's meanwhile or have left the stream.
   */
  async restore(missing: readonly Held[], commands: GroupCommands, membership: Membership): Promise<void> {
    if (missing.length === 0) return
    const mine = await commands.restore(membership.identity, missing, { signal: membership.signal })
    if (isRefusal(mine)) return
    const kept = new Set(mine)
    for (const held of missing) {
      if (kept.has(held.id) || held.phase === 'settling') continue
      held.lost = true
      held.delivery?.abort(leaseLost(`event ${held.id} is no longer its own`, this.#facts))
      this.#holdings.drop(held)
    }
    this.#changes.changed()
  }

  /** Starts nothing any more, and gives back at once what was not started. */
  drain(): void {
    this.#draining = true
    const nowMs = this.#clock.monotonicMs()
    for (const held of this.#dispatcher.takeWaiting()) this.#release(held, nowMs)
    for (const held of this.#holdings.all()) if (held.phase === 'parked') this.#release(held, nowMs)
    this.#parked.clear()
  }

  /** Resolves when no handler runs and everything is written, or the signal fires. */
  finished(signal: AbortSignal): Promise<void> {
    return this.#changes.until(() => this.#dispatcher.running === 0 && !this.#settler.hasWork, signal)
  }

  /** The ids of events whose handlers run. */
  running(): string[] {
    return this.#dispatcher.runningIds()
  }

  abortRunning(reason: Error): void {
    this.#dispatcher.abortRunning(reason)
  }

  close(): void {
    this.#guard.close()
    this.#parked.clear()
    this.#dispatcher.close()
    this.#settler.membership = undefined
    this.#settler.forget()
  }

  #resume(): void {
    this.#parked.serve()
    this.#dispatcher.pump()
    this.#changes.changed()
  }

  #finished(held: Held, outcome: Outcome): void {
    this.#handled++
    if (channels.handled.hasSubscribers) reportHandled(held, outcome, this.#clock, this.#facts)
    const verdict = judgeOutcome(outcome, held.attempt, this.#options)
    switch (verdict.action) {
      case 'ack':
        this.#holdings.settle(held)
        this.#settler.ack(held)
        break
      case 'again':
        if (held.quarantined) this.#settler.writeAttempt(held, held.attempt)
        this.#park(held, 0)
        break
      case 'retry':
        held.attempt++
        this.#settler.writeAttempt(held, held.attempt)
        this.#park(held, waitBeforeMs(held.id, held.attempt, this.#options.backoff))
        break
      case 'dead-letter':
        this.#holdings.settle(held)
        this.#settler.deadLetter(held, verdict.reason, held.attempt, verdict.error)
        break
      case 'stop':
        this.#stopAt(held, verdict.error)
        break
      default:
        verdict satisfies never
    }
    this.#parked.finished(held)
    if (held.quarantined && this.#parked.inQuarantine < MOST_IN_QUARANTINE / 4) this.#ports.roomy()
    this.#changes.changed()
  }

  /** Its recorded starts have used up its attempts before anybody saw one end. */
  #exhausted(held: Held): void {
    const error = new MillraceError(
      'HANDLER_FAILED',
      `Event ${held.id} was started ${held.attempt - 1} times and never settled`,
    )
    if (this.#options.onExhausted === 'stop') {
      this.#stopAt(held, error)
      return
    }
    this.#holdings.settle(held)
    this.#settler.deadLetter(held, 'exhausted', held.attempt - 1, error)
  }

  /** Whoever starts the group again begins with fresh attempts. */
  #stopAt(held: Held, cause: unknown): void {
    held.attempt = 1
    this.#settler.writeAttempt(held, 1)
    if (held.phase !== 'parked') this.#holdings.park(held)
    this.#stop('HANDLER_FAILED', `Event ${held.id} failed for good, and the owner chose to stop`, cause)
  }

  #stop(code: 'DEAD_LETTER_FULL' | 'HANDLER_FAILED', message: string, cause: unknown): void {
    this.#ports.stop(new MillraceError(code, message, { ...this.#facts, cause }))
  }

  #park(held: Held, waitMs: number): void {
    const nowMs = this.#clock.monotonicMs()
    if (this.#draining) {
      this.#holdings.settle(held)
      this.#settler.release(held, 0)
      return
    }
    this.#holdings.park(held)
    held.dueMs = nowMs + waitMs
    this.#parked.add(held)
  }

  /** Given back with the idle time that keeps the due time of a retry. */
  #release(held: Held, nowMs: number): void {
    const leftMs = held.phase === 'parked' ? held.dueMs - nowMs : 0
    this.#holdings.settle(held)
    this.#settler.release(held, idleAtReleaseMs(held, leftMs, this.#options.backoff))
  }

  #drop(held: Held): void {
    this.#holdings.drop(held)
    this.#changes.changed()
  }

  #expired(held: Held): void {
    this.#reportExpired(1)
    this.#drop(held)
  }

  #reportExpired(expired: number): void {
    const from = this.#guard.membership?.identity.name ?? ''
    channels.claimed.publish({ ...this.#facts, from, events: 0, expired })
  }
}

/** Entries in quarantine run one by one, so that a few are enough for a while. */
const MOST_IN_QUARANTINE = 64

/** The origin of what was read: nobody had it before. */
const READ = Object.freeze({ redelivered: false, quarantined: false })

export function leaseLost(because: string, facts: { stream: string; name: string }): MillraceError {
  return new MillraceError('LEASE_LOST', `The lease of a member of ${facts.name} is lost: ${because}`, facts)
}

function sizeOf(fields: readonly (string | Buffer)[]): number {
  let bytes = 0
  for (const field of fields) bytes += field.length
  return bytes
}
