import type { Held } from './held.ts'

/** First in, first out, without moving what stays: Array#shift would for long queues. */
export class ReadyQueue {
  #items: (Held | undefined)[] = []
  #head = 0

  get size(): number {
    return this.#items.length - this.#head
  }

  push(held: Held): void {
    this.#items.push(held)
  }

  take(): Held | undefined {
    const held = this.#items[this.#head]
    if (held === undefined) return undefined
    this.#items[this.#head++] = undefined
    if (this.#head === this.#items.length) {
      this.#items = []
      this.#head = 0
    }
    return held
  }

  /** Takes all. */
  empty(): Held[] {
    const all = this.#items.slice(this.#head).filter((held) => held !== undefined)
    this.#items = []
    this.#head = 0
    return all
  }
}
