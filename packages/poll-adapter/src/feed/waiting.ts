import { PollAdapterError } from '../errors.ts'
import type { Clock } from '../lifecycle/clock.ts'
import { onAbort } from '../lifecycle/signals.ts'

/** Why a wait ended. */
export type Woken = 'aborted' | 'closing' | 'event' | 'time'

/** Everyone who waits for the next event. */
export class WaitingRoom {
  readonly #clock: Clock
  readonly #most: number
  #waiting = new Set<(why: Woken) => void>()

  constructor(clock: Clock, most: number) {
    this.#clock = clock
    this.#most = most
  }

  get size(): number {
    return this.#waiting.size
  }

  /** @throws PollAdapterError `BUSY` */
  wait(ms: number, signal: AbortSignal | undefined): Promise<Woken> {
    if (this.#waiting.size >= this.#most) {
      throw new PollAdapterError('BUSY', `${this.#most} polls are waiting here already`)
    }
    return new Promise((resolve) => {
      const end = (why: Woken): void => {
        this.#waiting.delete(end)
        cancel()
        off()
        resolve(why)
      }
      this.#waiting.add(end)
      const cancel = this.#clock.after(ms, () => {
        end('time')
      })
      // A signal that has fired calls back at once, before `off` is there.
      let off = (): void => undefined
      off = onAbort(signal, () => {
        end('aborted')
      })
    })
  }

  wake(why: Woken): void {
    const waiting = this.#waiting
    this.#waiting = new Set()
    for (const end of waiting) end(why)
  }
}
