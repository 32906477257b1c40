/** Which of many numbers were seen, in a bit each. */
export class SeenSequences {
  readonly #first: number
  #bits = new Uint8Array(65_536)
  #different = 0
  #again = 0

  constructor(first: number) {
    this.#first = first
  }

  get different(): number {
    return this.#different
  }

  /** How often a number came that had been seen before. */
  get again(): number {
    return this.#again
  }

  add(sequence: number): void {
    const index = sequence - this.#first
    const at = index >>> 3
    while (at >= this.#bits.length) {
      const larger = new Uint8Array(this.#bits.length * 2)
      larger.set(this.#bits)
      this.#bits = larger
    }
    const before = this.#bits[at] ?? 0
    const bit = 1 << (index & 7)
    if ((before & bit) !== 0) this.#again += 1
    else this.#different += 1
    this.#bits[at] = before | bit
  }
}
