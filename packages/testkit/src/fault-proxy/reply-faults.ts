import type { CommandBytes } from './command-reader.ts'

/** What is to happen to a reply that has begun to arrive from the server. */
export type Verdict =
  | { readonly action: 'pass' }
  /** Swallow it, then reset the connection; `done` is told once that has happened. */
  | { readonly action: 'drop'; readonly done: () => void }
  /** Let this many bytes of the reply stream pass from here on, then reset the connection. */
  | { readonly action: 'cut'; readonly afterBytes: number; readonly done: () => void }

interface ArmedDrop {
  readonly matches: (command: string[]) => boolean
  readonly done: () => void
}

interface ArmedCut {
  readonly afterBytes: number
  readonly done: () => void
}

const PASS: Verdict = Object.freeze({ action: 'pass' })

/** The faults that wait for a reply, over all connections of a proxy. */
export class ReplyFaults {
  #drops: ArmedDrop[] = []
  #cuts: ArmedCut[] = []
  #every = 0
  #replies = 0

  dropNext(matches: (command: string[]) => boolean): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#drops.push({ matches, done: resolve })
    return promise
  }

  cutAfter(bytes: number): Promise<void> {
    if (!Number.isSafeInteger(bytes) || bytes < 0)
      throw new RangeError(`bytes must be a whole number from 0, not ${bytes}`)
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#cuts.push({ afterBytes: bytes, done: resolve })
    return promise
  }

  dropEvery(n: number): void {
    if (!Number.isSafeInteger(n) || n < 0)
      throw new RangeError(`n must be a whole number from 0, not ${n}`)
    this.#every = n
    this.#replies = 0
  }

  /** Disarms everything; faults that have not come about never will, and their promises stay pending. */
  disarm(): void {
    this.#drops = []
    this.#cuts = []
    this.#every = 0
  }

  /** Called once for each reply, as its first byte arrives, with the command that it answers. */
  judge(command: CommandBytes): Verdict {
    this.#replies += 1
    const cut = this.#cuts.shift()
    if (cut) return { action: 'cut', ...cut }
    const drop = this.#takeMatchingDrop(command)
    if (drop) return { action: 'drop', done: drop.done }
    if (this.#every > 0 && this.#replies % this.#every === 0)
      return { action: 'drop', done: () => {} }
    return PASS
  }

  #takeMatchingDrop(command: CommandBytes): ArmedDrop | undefined {
    if (this.#drops.length === 0) return undefined
    const words = command.map(String)
    const index = this.#drops.findIndex((drop) => drop.matches(words))
    return index === -1 ? undefined : this.#drops.splice(index, 1)[0]
  }
}
