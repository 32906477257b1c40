import { type Clock } from '../lifecycle/clock.ts'
import { pause } from '../lifecycle/signals.ts'
import { MillraceError } from '../errors.ts'
import type { Session } from './session.ts'

/** Wait between attempts, in milliseconds: doubled from the first to the greatest, half of it random. */
const FIRST_BACKOFF_MS = 50
const GREATEST_BACKOFF_MS = 1_000

/**
 * A place for one connection: opens a session when somebody needs one, never two at a time, and the
 * next only after a pause when the last attempt failed.
 */
export class Link {
  readonly #open: () => Promise<Session>
  readonly #clock: Clock
  readonly #closed = new AbortController()
  #current: Session | undefined
  #attempt: Promise<Session> | undefined
  #failures = 0
  #notBeforeMs = 0
  #giveUpAttempt: ((reason: Error) => void) | undefined

  constructor(open: () => Promise<Session>, clock: Clock) {
    this.#open = open
    this.#clock = clock
  }

  /** The live session, if there is one. */
  get current(): Session | undefined {
    return this.#current?.signal.aborted === false ? this.#current : undefined
  }

  /** The live session, or the outcome of one attempt at opening one. */
  attempt(): Promise<Session> {
    const current = this.current
    if (current !== undefined) return Promise.resolve(current)
    this.#attempt ??= this.#openNext().finally(() => {
      this.#attempt = undefined
    })
    return this.#attempt
  }

  /** Ends the session, and gives up an attempt that is under way: it leads to where nobody wants to be. */
  abandon(reason: string): void {
    this.#current?.end(reason)
    this.#giveUpAttempt?.(new MillraceError('UNAVAILABLE', reason))
  }

  close(): void {
    this.#closed.abort()
    this.#current?.end('the link was closed')
    this.#current = undefined
  }

  async #openNext(): Promise<Session> {
    const waitMs = this.#notBeforeMs - this.#clock.monotonicMs()
    if (waitMs > 0) await pause(this.#clock, waitMs, this.#closed.signal)
    this.#throwIfClosed()
    try {
      const session = await this.#openUnlessGivenUp()
      if (this.#closed.signal.aborted) session.end('the link was closed')
      this.#throwIfClosed()
      this.#failures = 0
      this.#current = session
      return session
    } catch (error) {
      const backoffMs = Math.min(FIRST_BACKOFF_MS * 2 ** this.#failures++, GREATEST_BACKOFF_MS)
      this.#notBeforeMs = this.#clock.monotonicMs() + backoffMs * (0.5 + Math.random() / 2)
      throw error
    }
  }

  async #openUnlessGivenUp(): Promise<Session> {
    const { promise: givenUp, reject } = Promise.withResolvers<never>()
    const opening = this.#open()
    this.#giveUpAttempt = (reason) => {
      reject(reason)
      opening.then(
        (late) => {
          late.end(reason.message)
        },
        () => undefined,
      )
    }
    try {
      return await Promise.race([opening, givenUp])
    } finally {
      this.#giveUpAttempt = undefined
    }
  }

  #throwIfClosed(): void {
    if (this.#closed.signal.aborted) {
      throw new MillraceError('CLOSED', 'The connection was closed')
    }
  }
}
