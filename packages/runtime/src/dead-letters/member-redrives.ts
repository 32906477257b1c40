import { channels } from '../diagnostics.ts'
import type { MillraceError } from '../errors.ts'
import { Aftermath } from '../group/aftermath.ts'
import { isRefusal, type Refusal } from '../group/answers.ts'
import { dueAfterClaimMs } from '../group/due.ts'
import { Held, Holdings } from '../group/held.ts'
import type { Membership } from '../group/membership.ts'
import type { ResolvedGroupOptions } from '../group/options.ts'
import { ParkedEntries } from '../group/parked-entries.ts'
import { Settler } from '../group/settler.ts'
import { isExhausted, type Outcome } from '../group/verdict.ts'
import type { Clock } from '../lifecycle/clock.ts'
import type { PendingRedrive, RedriveCommands } from './group-commands.ts'

export interface MemberRedrivesParts {
  readonly options: ResolvedGroupOptions
  readonly clock: Clock
  readonly commands: RedriveCommands
  readonly binary: boolean
  readonly facts: { readonly stream: string; readonly name: string }
  /** How many entries wait for a handler. */
  waiting(): number
  /** How many more handlers may start. */
  open(): number
  /** Whether handlers may be started just now. */
  mayServe(): boolean
  /** It has its payload: a handler may have it. */
  ready(held: Held): void
  stop(error: MillraceError): void
  refused(membership: Membership, refusal: Refusal): void
  /** Something waits here for its next attempt. */
  kept(): void
  /** Something was settled. */
  changed(): void
}

/** However many handlers run at once, no more than this is taken: others may want some. */
const LARGEST_TAKE = 16

/**
 * The redriven events of one member, apart from what it holds of the stream: they have a native group of
 * their own. They wait, fail, are tried again and are settled like any other event, and their handlers
 * run among the others.
 */
export class MemberRedrives {
  readonly #parts: MemberRedrivesParts
  readonly #holdings = new Holdings()
  readonly #settler: Settler
  readonly #parked: ParkedEntries
  readonly #aftermath: Aftermath
  readonly #most: number
  #membership: Membership | undefined
  #taking = false
  #draining = false
  /** Whether more waited for somebody to take them, when last asked. */
  #more = false
  /** Whether what it holds may still be pending for its predecessor: it lasts only as long as a record. */
  #inherits = false

  constructor(parts: MemberRedrivesParts) {
    const { clock, commands, facts } = parts
    // What fails for good goes back to where it came from, whatever the policy is.
    const options = {
      ...parts.options,
      onExhausted: 'dead-letter',
      onInvalid: 'dead-letter',
    } as const
    this.#parts = parts
    this.#most = Math.min(options.concurrency + 1, LARGEST_TAKE)
    this.#settler = new Settler(
      commands,
      clock,
      {
        settled: (held) => {
          this.#drop(held)
        },
        expired: (held) => {
          this.#drop(held)
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
        refused: (membership, refusal) => {
          parts.refused(membership, refusal)
        },
        rested: () => {
          parts.changed()
        },
      },
      facts,
    )
    this.#parked = new ParkedEntries({
      clock,
      holdings: this.#holdings,
      wanted: () => Math.min(options.concurrency + LARGEST_TAKE, parts.open()) - parts.waiting(),
      mayServe: () => parts.mayServe(),
      fetch: (ids) => commands.fetch(ids, parts.binary, { signal: this.#membership?.signal }),
      recordStart: (held) => {
        this.#settler.writeAttempt(held, held.attempt + 1)
      },
      isExhausted: (held) => isExhausted(held.attempt, options),
      exhausted: (held) => {
        this.#aftermath.exhausted(held)
      },
      expired: (held) => {
        this.#aftermath.expired(held)
      },
      ready: (held) => {
        parts.ready(held)
      },
      failed: (error) => {
        channels.loopFailed.publish({ loop: 'redrive', ...facts, error })
      },
    })
    this.#aftermath = new Aftermath({
      options,
      clock,
      holdings: this.#holdings,
      settler: this.#settler,
      parked: this.#parked,
      facts,
      stop: (error) => {
        parts.stop(error)
      },
      kept: () => {
        parts.kept()
      },
    })
  }

  /** Under which membership redriven events are taken and settled; undefined makes both wait. */
  set membership(membership: Membership | undefined) {
    this.#membership = membership
    this.#settler.membership = membership
    if (membership === undefined || this.#holdings.size === 0) return
    this.#inherits = true
    void this.#take()
  }

  get hasWork(): boolean {
    return this.#settler.hasWork
  }

  /** The beat has told how many redriven events there are, whoever has them. */
  notice(length: number): void {
    if (length > this.#holdings.size || this.#inherits) void this.#take()
  }

  /** Gets ready what is due. */
  serve(): void {
    this.#parked.serve()
  }

  /** The handler of a redriven event has settled. */
  finished(held: Held, outcome: Outcome): void {
    this.#aftermath.finish(held, outcome)
    this.#parked.finished(held)
  }

  /** Gives one back that was not started. */
  release(held: Held): void {
    this.#aftermath.release(held)
  }

  /** Takes no more, and gives back what waits. */
  drain(): void {
    this.#draining = true
    this.#aftermath.drain()
    this.giveBack()
  }

  /** Gives back what waits. */
  giveBack(): void {
    for (const held of this.#holdings.all()) {
      if (held.phase === 'parked') this.#aftermath.release(held)
    }
    this.#parked.clear()
  }

  /** Drops everything: it is somebody else's now. */
  forget(): void {
    this.#settler.forget()
    this.#parked.clear()
    for (const held of [...this.#holdings.all()]) {
      held.delivery?.conclude(false)
      this.#holdings.drop(held)
    }
  }

  close(): void {
    this.#draining = true
    this.#parked.clear()
    this.membership = undefined
    this.#settler.forget()
  }

  async #take(): Promise<void> {
    if (this.#taking) return
    this.#taking = true
    try {
      // Until there is no room, or nothing that nobody has.
      for (let more = true; more; ) more = await this.#takeSome()
    } catch (error) {
      const { facts } = this.#parts
      if (this.#membership !== undefined && !this.#membership.signal.aborted) {
        channels.loopFailed.publish({ loop: 'redrive', ...facts, error: error as Error })
      }
    } finally {
      this.#taking = false
    }
  }

  /** Answers whether it is worth while to go on. */
  async #takeSome(): Promise<boolean> {
    const membership = this.#membership
    const { commands } = this.#parts
    const mayTake = !this.#draining && this.#parts.mayServe()
    const open = this.#parts.open() - this.#parts.waiting()
    const room = mayTake ? Math.max(Math.min(this.#most - this.#holdings.size, open), 0) : 0
    if (membership === undefined || (room === 0 && !this.#inherits)) return false
    const taken = await commands.take(membership.identity, room, { signal: membership.signal })
    if (isRefusal(taken)) {
      this.#parts.refused(membership, taken)
      return false
    }
    // What was taken under a name that is no longer ours is found by the next one.
    if (this.#membership !== membership) return false
    this.#inherits = false
    this.#more = taken.left > 0
    return this.#adopt(taken.entries) && this.#more
  }

  /** Answers whether anything was new. */
  #adopt(entries: readonly PendingRedrive[]): boolean {
    const { clock, options } = this.#parts
    const nowMs = clock.monotonicMs()
    let isNew = false
    for (const entry of entries) {
      if (this.#holdings.has(entry.id)) continue
      isNew = true
      const origin = { redelivered: true, quarantined: entry.suspect }
      const held = new Held(entry.id, 'parked', entry.attempt, nowMs, origin)
      held.redriven = true
      held.eventId = entry.eventId
      held.dueMs = dueAfterClaimMs(entry, nowMs, options.backoff)
      this.#holdings.add(held)
      if (this.#draining) this.#aftermath.release(held)
      else this.#parked.add(held)
    }
    this.#parked.serve()
    return isNew
  }

  #drop(held: Held): void {
    held.delivery?.conclude(true)
    this.#holdings.drop(held)
    this.#parts.changed()
    if (this.#more && this.#holdings.size * 2 <= this.#most) void this.#take()
  }
}
