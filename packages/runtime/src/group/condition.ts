import { onAbort } from '../lifecycle/signals.ts'

/** Lets waiters look again whenever something has changed. */
export class Condition {
  readonly #waiters = new Set<() => void>()

  /** Resolves as soon as the predicate holds or the signal fires. */
  until(predicate: () => boolean, signal?: AbortSignal): Promise<void> {
    if (predicate() || signal?.aborted === true) return Promise.resolve()
    return new Promise((resolve) => {
      const finish = (): void => {
        this.#waiters.delete(look)
        off()
        resolve()
      }
      const look = (): void => {
        if (predicate()) finish()
      }
      this.#waiters.add(look)
      const off = onAbort(signal, finish)
    })
  }

  changed(): void {
    if (this.#waiters.size > 0) for (const look of this.#waiters) look()
  }
}
