import type { Clock } from '../lifecycle/clock.ts'
import type { Entry } from './backlog.ts'

/** What a tenure does with an event before its handler runs. */
export type StartVerdict = 'dead-letter' | 'run' | 'wait'

export interface QuarantinePorts {
  /** Stores the attempts of events, with how many are left in quarantine; answers whether to go on. */
  recordStart(entry: Entry<unknown>, left: number): Promise<'run' | 'wait'>
  /** Resolves once the server has confirmed everything done so far. */
  confirmation(): Promise<void>
}

/** After another holder died, for one lease: how many events may pass until the position is stored. */
const CAUTIOUS_CHECKPOINT_EVERY = 64

/**
 * Finds the event that kills its process. After a holder died, positions are stored closely for one
 * lease, so that the next death says more exactly where. After two deaths at one position the events
 * that follow run one by one, each start recorded before, so that the starts of the poison add up to
 * its attempts and its neighbours are not blamed.
 */
export class Quarantine {
  readonly #clock: Clock
  readonly #cautiousUntilMs: number
  readonly #maxAttempts: number
  readonly #ports: QuarantinePorts
  #left: number
  #leaving = false

  constructor(
    clock: Clock,
    grant: { readonly quarantine: number; readonly cautiousUntilMs: number },
    maxAttempts: number,
    ports: QuarantinePorts,
  ) {
    this.#clock = clock
    this.#cautiousUntilMs = grant.cautiousUntilMs
    this.#maxAttempts = maxAttempts
    this.#ports = ports
    this.#left = grant.quarantine
  }

  /** Whether another handler may be started, with so many running and so many events not yet stored. */
  admits(running: number, notStored: number): boolean {
    if ((this.#left > 0 || this.#leaving) && running > 0) return false
    return !(this.isCautious() && notStored >= CAUTIOUS_CHECKPOINT_EVERY)
  }

  /** After how many events the position is to be stored. */
  checkpointEvery(usual: number): number {
    return this.isCautious() ? Math.min(usual, CAUTIOUS_CHECKPOINT_EVERY) : usual
  }

  isCautious(): boolean {
    return this.#cautiousUntilMs > 0 && this.#clock.monotonicMs() < this.#cautiousUntilMs
  }

  /** Undefined outside quarantine: the handler runs at once. */
  recordStart(entry: Entry<unknown>): Promise<StartVerdict> | undefined {
    if (this.#left === 0) {
      if (!this.#leaving) return undefined
      // The last one's start must not be counted against it in the next tenure.
      this.#leaving = false
      return this.#ports.confirmation().then(() => 'run')
    }
    if (entry.attempts >= this.#maxAttempts) return Promise.resolve('dead-letter')
    this.#left--
    this.#leaving = this.#left === 0
    entry.attempts++
    entry.counted = true
    return this.#ports.recordStart(entry, this.#left)
  }
}
