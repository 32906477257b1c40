/**
 * The bytes that catching-up readers and consumers of one process may hold together. Whoever wants a
 * page asks first; one page is always allowed, so that a budget smaller than a page cannot block.
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

  /** Whether another page may be asked for. If not, calls back once there is room. */
  admits(whenRoom: () => void): boolean {
    if (this.#heldBytes < this.#budgetBytes) return true
    this.#waiting.add(whenRoom)
    return false
  }

  hold(bytes: number): void {
    this.#heldBytes += bytes
  }

  release(bytes: number): void {
    this.#heldBytes -= bytes
    if (this.#waiting.size === 0 || this.#heldBytes >= this.#budgetBytes) return
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const whenRoom of waiting) whenRoom()
  }

  forget(whenRoom: () => void): void {
    this.#waiting.delete(whenRoom)
  }
}
