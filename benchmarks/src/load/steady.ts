import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Sends one event after the other at a fixed pace until it is stopped, whether or not earlier ones have
 * been answered.
 */
export class Steady {
  readonly #send: (sequence: number) => Promise<unknown> | undefined
  readonly #stopping = new AbortController()
  readonly #outstanding = new Set<Promise<unknown>>()
  readonly #loop: Promise<void>
  #sequence: number

  /** Begins with the first event half a period from now: on average that is when it is due. */
  constructor(
    pace: { readonly perSecond: number; readonly firstSequence: number },
    send: (sequence: number) => Promise<unknown> | undefined,
  ) {
    this.#send = send
    this.#sequence = pace.firstSequence
    this.#loop = pace.perSecond === 0 ? Promise.resolve() : this.#run(1_000 / pace.perSecond)
  }

  /** Resolves when everything that was sent has been answered, with the sequence that comes next. */
  async stop(): Promise<number> {
    this.#stopping.abort()
    await this.#loop
    await Promise.all(this.#outstanding)
    return this.#sequence
  }

  async #run(everyMs: number): Promise<void> {
    const { signal } = this.#stopping
    const startMs = performance.now() + everyMs / 2
    for (let turn = 0; ; turn += 1) {
      const waitMs = startMs + turn * everyMs - performance.now()
      if (waitMs > 0) await sleep(waitMs, undefined, { signal }).catch(() => undefined)
      if (signal.aborted) return
      const answered = this.#send(this.#sequence)
      this.#sequence += 1
      if (answered === undefined) continue
      this.#outstanding.add(answered)
      // An answer that is an error stays, and fails stop().
      answered.then(
        () => this.#outstanding.delete(answered),
        () => undefined,
      )
    }
  }
}
