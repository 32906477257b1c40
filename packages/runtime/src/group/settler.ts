import { channels } from '../diagnostics.ts'
import { type DeadLetterReason, LONGEST_ERROR } from '../delivery/dead-letter-fields.ts'
import { isMillraceError, messageOf, MillraceError } from '../errors.ts'
import type { Clock } from '../lifecycle/clock.ts'
import { pause } from '../lifecycle/signals.ts'
import { isRefusal, type Refusal } from './answers.ts'
import type { GroupCommands } from './commands.ts'
import type { Held } from './held.ts'
import type { Membership } from './membership.ts'

/** How it is written what became of entries, on the stream or on the redrive stream. */
export type SettleCommands = Pick<GroupCommands, 'deadLetter' | 'settle'>

/** What a write about one entry led to. */
export interface SettlerPorts {
  /** The entry is settled: Redis has confirmed it. */
  settled(held: Held): void
  /** The entry has left the stream before it was handled. */
  expired(held: Held): void
  /** This number of its next attempt is recorded. */
  recorded(held: Held, attempt: number): void
  /** Its attempt was not recorded, because it is not pending for this member. */
  foreign(held: Held): void
  /** It could not become a dead letter: there is no room. */
  full(held: Held): void
  /** The member may write no more. */
  refused(membership: Membership, refusal: Refusal): void
  /** Nothing is left to write. */
  rested(): void
}

interface Letter {
  readonly held: Held
  readonly reason: DeadLetterReason
  readonly attempts: number
  readonly error: unknown
}

interface Batch {
  readonly acks: readonly Held[]
  readonly attempts: readonly { readonly held: Held; readonly attempt: number }[]
  readonly releases: readonly { readonly held: Held; readonly idleMs: number }[]
}

const MOST_ACKS = 512
const MOST_WRITES = 256

/** The wait after an error that repeating at once does not mend, in milliseconds. */
const ERROR_PAUSE_MS = 500

/**
 * Writes what became of entries, in batches: one at a time, so that what was decided later is written
 * later, each with one check of the token. While it waits for an answer the next batch gathers. What
 * was not confirmed is written again, on the next connection or by the next membership.
 */
export class Settler {
  readonly #commands: SettleCommands
  readonly #clock: Clock
  readonly #ports: SettlerPorts
  readonly #facts: { readonly stream: string; readonly name: string }
  #membership: Membership | undefined
  #acks: Held[] = []
  #attempts: { readonly held: Held; readonly attempt: number }[] = []
  #releases: { readonly held: Held; readonly idleMs: number }[] = []
  #letters: Letter[] = []
  #busy = false
  #scheduled = false

  constructor(
    commands: SettleCommands,
    clock: Clock,
    ports: SettlerPorts,
    facts: { readonly stream: string; readonly name: string },
  ) {
    this.#commands = commands
    this.#clock = clock
    this.#ports = ports
    this.#facts = facts
  }

  /** Whose token writes from now on; undefined makes writes wait. */
  set membership(membership: Membership | undefined) {
    this.#membership = membership
    this.#schedule()
  }

  get hasWork(): boolean {
    return this.#busy || this.#queued > 0
  }

  ack(held: Held): void {
    this.#acks.push(held)
    this.#schedule()
  }

  /** Records the number of the attempt that comes next. */
  writeAttempt(held: Held, attempt: number): void {
    this.#attempts.push({ held, attempt })
    this.#schedule()
  }

  deadLetter(held: Held, reason: DeadLetterReason, attempts: number, error: unknown): void {
    this.#letters.push({ held, reason, attempts, error })
    this.#schedule()
  }

  /** Gives an entry back, so that another member may have it at once. */
  release(held: Held, idleMs: number): void {
    this.#releases.push({ held, idleMs })
    this.#schedule()
  }

  /** Forgets everything that is not written: the entries are no longer this member's. */
  forget(): void {
    this.#acks = []
    this.#attempts = []
    this.#releases = []
    this.#letters = []
  }

  get #queued(): number {
    return this.#acks.length + this.#attempts.length + this.#releases.length + this.#letters.length
  }

  #schedule(): void {
    if (this.#scheduled || this.#busy || this.#queued === 0 || this.#membership === undefined)
      return
    this.#scheduled = true
    // Everything that finishes in this turn of the event loop goes into one script.
    setImmediate(() => {
      this.#scheduled = false
      void this.#run()
    })
  }

  async #run(): Promise<void> {
    if (this.#busy) return
    this.#busy = true
    try {
      for (;;) {
        const membership = this.#membership
        if (membership === undefined || this.#queued === 0) break
        try {
          if (!(await this.#writeBatch(membership)) || !(await this.#writeLetter(membership))) break
        } catch (error) {
          // A membership that has ended cuts its writes off; the next one repeats them.
          if (membership.signal.aborted) continue
          if (isMillraceError(error, 'CLOSED')) break
          channels.loopFailed.publish({ loop: 'settle', ...this.#facts, error: error as Error })
          await pause(this.#clock, ERROR_PAUSE_MS, membership.signal)
        }
      }
    } finally {
      this.#busy = false
      if (this.#queued === 0) this.#ports.rested()
    }
  }

  async #writeBatch(membership: Membership): Promise<boolean> {
    const batch: Batch = {
      acks: this.#acks.slice(0, MOST_ACKS),
      attempts: this.#attempts.slice(0, MOST_WRITES),
      // Nothing is written about an entry after it was given back.
      releases: this.#attempts.length > MOST_WRITES ? [] : this.#releases.slice(0, MOST_WRITES),
    }
    if (batch.acks.length + batch.attempts.length + batch.releases.length === 0) return true
    const queues = [this.#acks, this.#attempts, this.#releases]
    const sentMs = this.#clock.monotonicMs()
    const answer = await this.#commands.settle(
      membership.identity,
      {
        acks: batch.acks.map((held) => held.id),
        attempts: batch.attempts.map(({ held, attempt }) => ({ id: held.id, attempt })),
        releases: batch.releases.map(({ held, idleMs }) => ({
          id: held.id,
          idleMs,
          attempt: held.attempt,
        })),
      },
      { signal: membership.signal },
    )
    if (isRefusal(answer)) {
      this.#ports.refused(membership, answer)
      return false
    }
    // Forgotten meanwhile: the entries are somebody else's now.
    if (queues[0] !== this.#acks || queues[1] !== this.#attempts || queues[2] !== this.#releases) {
      return true
    }
    if (batch.acks.length > 0 && channels.acknowledged.hasSubscribers) {
      const ids = batch.acks.map((held) => held.eventId)
      const durationMs = this.#clock.monotonicMs() - sentMs
      const pending = answer.acked ?? ids.length
      channels.acknowledged.publish({ ...this.#facts, ids, pending, durationMs })
    }
    this.#acks.splice(0, batch.acks.length)
    this.#attempts.splice(0, batch.attempts.length)
    this.#releases.splice(0, batch.releases.length)
    for (const held of batch.acks) this.#ports.settled(held)
    for (const { held } of batch.releases) this.#ports.settled(held)
    const gone = new Set(answer.gone)
    const foreign = new Set(answer.foreign)
    for (const { held, attempt } of batch.attempts) {
      if (gone.has(held.id)) this.#ports.expired(held)
      else if (foreign.has(held.id)) this.#ports.foreign(held)
      else this.#ports.recorded(held, attempt)
    }
    return true
  }

  async #writeLetter(membership: Membership): Promise<boolean> {
    const letter = this.#letters[0]
    if (letter === undefined) return true
    const answer = await this.#commands.deadLetter(
      membership.identity,
      {
        id: letter.held.id,
        reason: letter.reason,
        attempts: letter.attempts,
        error: messageOf(letter.error ?? '').slice(0, LONGEST_ERROR),
      },
      { signal: membership.signal },
    )
    if (isRefusal(answer)) {
      this.#ports.refused(membership, answer)
      return false
    }
    if (this.#letters[0] !== letter) return true
    this.#letters.shift()
    switch (answer) {
      case 'OK':
        this.#report(letter)
        this.#ports.settled(letter.held)
        return true
      case 'SETTLED':
        this.#ports.settled(letter.held)
        return true
      case 'EXPIRED':
        this.#ports.expired(letter.held)
        return true
      case 'FULL':
        this.#ports.full(letter.held)
        return true
      default:
        throw new MillraceError('INTERNAL', `A script answered ${String(answer satisfies never)}`)
    }
  }

  #report({ held, reason, attempts, error }: Letter): void {
    const { eventId: id, redriven } = held
    const text = messageOf(error ?? '')
    channels.deadLettered.publish({ ...this.#facts, id, reason, attempts, error: text, redriven })
  }
}
