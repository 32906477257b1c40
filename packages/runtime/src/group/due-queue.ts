import type { Held } from './held.ts'

/** Parked entries in the order in which they become due: a binary heap. */
export class DueQueue {
  readonly #heap: Held[] = []

  get size(): number {
    return this.#heap.length
  }

  /** When the first entry is due; Infinity when there is none. */
  get nextMs(): number {
    return this.#heap[0]?.dueMs ?? Number.POSITIVE_INFINITY
  }

  push(held: Held): void {
    const heap = this.#heap
    let at = heap.push(held) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = heap[parent]
      if (above === undefined || above.dueMs <= held.dueMs) break
      heap[at] = above
      at = parent
    }
    heap[at] = held
  }

  /** Takes the first entry if it is due. */
  takeDue(nowMs: number): Held | undefined {
    const heap = this.#heap
    const first = heap[0]
    if (first === undefined || first.dueMs > nowMs) return undefined
    const last = heap.pop()
    if (last !== undefined && heap.length > 0) this.#sink(last)
    return first
  }

  clear(): void {
    this.#heap.length = 0
  }

  #sink(held: Held): void {
    const heap = this.#heap
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      const left = heap[child]
      if (left === undefined) break
      const right = heap[child + 1]
      let least = left
      if (right !== undefined && right.dueMs < left.dueMs) {
        least = right
        child++
      }
      if (least.dueMs >= held.dueMs) break
      heap[at] = least
      at = child
    }
    heap[at] = held
  }
}
