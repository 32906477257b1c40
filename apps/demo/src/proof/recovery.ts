import type { JournalEntry } from './journal.ts'
import type { Period } from './tally.ts'

/** How long nobody handled a consumer's events: from the kill to the first event handled again. */
export class RestartRecovery {
  readonly killedAtMs: number
  readonly #successor: string
  #firstAtMs: number | undefined

  /** @param successor the process that was started instead */
  constructor(successor: string, killedAtMs: number) {
    this.#successor = successor
    this.killedAtMs = killedAtMs
  }

  see(entry: JournalEntry, processName: string): void {
    if (processName === this.#successor) this.#firstAtMs ??= entry.atMs
  }

  get durationMs(): number | undefined {
    return this.#firstAtMs === undefined ? undefined : this.#firstAtMs - this.killedAtMs
  }

  /** When there was no process; without end while there is still none. */
  get outage(): Period {
    return { fromMs: this.killedAtMs, toMs: this.#firstAtMs ?? Infinity }
  }
}

/** How long it took until other members had handled what a dead one had been given. */
export class TakeoverRecovery {
  readonly killedAtMs: number
  readonly #dead: string
  readonly #others: ReadonlySet<string>
  #claimed = 0
  readonly #redeliveredAtMs: number[] = []

  /** @param members all members of the group, the dead one included or not */
  constructor(dead: string, members: readonly string[], killedAtMs: number) {
    this.#dead = dead
    this.#others = new Set(members.filter((member) => member !== dead))
    this.killedAtMs = killedAtMs
  }

  /**
   * Another member took over events.
   * @param from the name in Redis of the member that had them: its own, a colon and a random part
   */
  claimed(from: string, events: number): void {
    if (from.startsWith(`${this.#dead}:`)) this.#claimed += events
  }

  see(entry: JournalEntry, processName: string): void {
    if (this.#others.has(processName) && entry.redelivered && entry.atMs >= this.killedAtMs) {
      this.#redeliveredAtMs.push(entry.atMs)
    }
  }

  /** How many events the dead member left behind. */
  get events(): number {
    return this.#claimed
  }

  get durationMs(): number | undefined {
    if (this.#claimed === 0) return undefined
    const sorted = this.#redeliveredAtMs.toSorted((one, other) => one - other)
    const lastAtMs = sorted[this.#claimed - 1]
    return lastAtMs === undefined ? undefined : lastAtMs - this.killedAtMs
  }
}
