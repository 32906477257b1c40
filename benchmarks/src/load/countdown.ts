/** Counts what is handled, and resolves whoever waits for a number of it. */
export class Countdown {
  #seen = 0
  #awaited: { readonly events: number; readonly resolve: () => void } | undefined

  see(): void {
    this.#seen += 1
    if (this.#awaited !== undefined && this.#seen >= this.#awaited.events) {
      this.#awaited.resolve()
      this.#awaited = undefined
    }
  }

  async reaches(events: number): Promise<void> {
    if (this.#seen >= events) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#awaited = { events, resolve }
    await promise
  }
}
