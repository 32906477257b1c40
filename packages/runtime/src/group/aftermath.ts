import { MillraceError } from '../errors.ts'
import type { Clock } from '../lifecycle/clock.ts'
import { idleAtReleaseMs, waitBeforeMs } from './due.ts'
import type { Held, Holdings } from './held.ts'
import type { ResolvedGroupOptions } from './options.ts'
import type { ParkedEntries } from './parked-entries.ts'
import type { Settler } from './settler.ts'
import { judgeOutcome, type Outcome } from './verdict.ts'

export interface AftermathParts {
  readonly options: ResolvedGroupOptions
  readonly clock: Clock
  readonly holdings: Holdings
  readonly settler: Settler
  readonly parked: ParkedEntries
  readonly facts: { readonly stream: string; readonly name: string }
  /** The owner chose to stop at this error. */
  stop(error: MillraceError): void
  /** An entry waits here for its next attempt. */
  kept(): void
}

/** Carries out what becomes of an entry when it was handled, or will not be handled here. */
export class Aftermath {
  readonly #parts: AftermathParts
  #draining = false

  constructor(parts: AftermathParts) {
    this.#parts = parts
  }

  /** From now on nothing waits here: what is not done is given back. */
  drain(): void {
    this.#draining = true
  }

  /** An attempt has ended. */
  finish(held: Held, outcome: Outcome): void {
    const { options, holdings, settler } = this.#parts
    const verdict = judgeOutcome(outcome, held.attempt, options)
    switch (verdict.action) {
      case 'ack':
        holdings.settle(held)
        settler.ack(held)
        return
      case 'again':
        if (held.quarantined) settler.writeAttempt(held, held.attempt)
        this.#park(held, 0)
        return
      case 'retry':
        // It has ended, and the process lives: this is not what killed the other one. In quarantine it
        // would keep those behind it waiting.
        held.quarantined = false
        held.attempt++
        settler.writeAttempt(held, held.attempt)
        this.#park(held, waitBeforeMs(held.id, held.attempt, options.backoff))
        return
      case 'dead-letter':
        holdings.settle(held)
        // What could not be read was never given to a handler: that is no attempt.
        settler.deadLetter(
          held,
          verdict.reason,
          verdict.reason === 'invalid' ? held.attempt - 1 : held.attempt,
          verdict.error,
        )
        return
      case 'stop':
        this.#stopAt(held, verdict.error)
        return
      default:
        verdict satisfies never
    }
  }

  /** Its recorded starts have used up its attempts before anybody saw one end. */
  exhausted(held: Held): void {
    const starts = held.attempt - 1
    const error = new MillraceError(
      'HANDLER_FAILED',
      `Event ${held.eventId} was started ${starts} times and never settled`,
    )
    if (this.#parts.options.onExhausted === 'stop') {
      this.#stopAt(held, error)
      return
    }
    this.#parts.holdings.settle(held)
    this.#parts.settler.deadLetter(held, 'exhausted', starts, error)
  }

  /** There is no room for it among the dead letters. */
  full(): void {
    const { facts } = this.#parts
    this.#parts.stop(
      new MillraceError('DEAD_LETTER_FULL', `The dead letters of ${facts.name} are full`, facts),
    )
  }

  /** It has left the stream before it could be handled. */
  expired(held: Held): void {
    this.#parts.holdings.settle(held)
    this.#parts.settler.ack(held)
  }

  /** Gives an entry back that is not running, with the idle time that keeps the due time of a retry. */
  release(held: Held): void {
    const { options, clock, holdings, settler } = this.#parts
    const leftMs = held.phase === 'parked' ? held.dueMs - clock.monotonicMs() : 0
    holdings.settle(held)
    settler.release(held, idleAtReleaseMs(held, leftMs, options.backoff))
  }

  /** Whoever starts the group again begins with fresh attempts. */
  #stopAt(held: Held, cause: unknown): void {
    const { holdings, settler, facts } = this.#parts
    held.delivery?.conclude(false)
    held.attempt = 1
    settler.writeAttempt(held, 1)
    if (held.phase !== 'parked') holdings.park(held)
    this.#parts.stop(
      new MillraceError(
        'HANDLER_FAILED',
        `Event ${held.eventId} failed for good, and the owner chose to stop`,
        {
          ...facts,
          cause,
        },
      ),
    )
  }

  #park(held: Held, waitMs: number): void {
    held.delivery?.conclude(false)
    const { clock, holdings, parked } = this.#parts
    holdings.park(held)
    held.dueMs = clock.monotonicMs() + waitMs
    if (this.#draining) this.release(held)
    else {
      parked.add(held)
      this.#parts.kept()
    }
  }
}
