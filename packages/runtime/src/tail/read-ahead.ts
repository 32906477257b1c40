/**
 * The bytes that catching-up readers and consumers of one process may hold together. Whoever wants a
 * page asks first. Whoever holds nothing always gets one, a small one when the budget is used up: a
 * budget smaller than a page cannot block, and those who do not let go of theirs starve nobody.
 */
export class ReadAhead {
  readonly #budgetBytes: number
  readonly #waiting = new Set<() => void>()
  #heldBytes = 0

  constructor(budgetBytes: number) {
    this.#budgetBytes = budgetBytes
  }

  get heldBytes(): number {
    return this.#heldBytes
  }

  /** Whether the budget is used up. */
  get exhausted(): boolean {
    return this.#heldBytes >= this.#budgetBytes
  }

  /** Whether one that holds so many bytes may ask for a page. If not, calls back once there is room. */
  admits(ownBytes: number, whenRoom: () => void): boolean {
    if (ownBytes === 0 || !this.exhausted) return true
    this.#waiting.add(whenRoom)
    return false
  }

  hold(bytes: number): void {
    this.#heldBytes += bytes
  }

  release(bytes: number): void {
    this.#heldBytes -= bytes
    if (this.#waiting.size === 0 || this.exhausted) return
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const whenRoom of waiting) whenRoom()
  }

  forget(whenRoom: () => void): void {
    this.#waiting.delete(whenRoom)
  }
}
