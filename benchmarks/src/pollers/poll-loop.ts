import { setTimeout as sleep } from 'node:timers/promises'

/** A page of events after a cursor; an empty one where there is nothing new. */
export interface Page<Cursor> {
  readonly events: readonly unknown[]
  readonly cursor: Cursor
  /** Whether there may be more at once. */
  readonly isFull: boolean
}

/** Waits are drawn from this share of the interval below to this share above, as good pollers do it. */
const JITTER = 0.1

/** Any number of pollers, each with a cursor of its own. */
export class PollLoops<Cursor> {
  readonly #poll: (cursor: Cursor) => Promise<Page<Cursor>>
  readonly #handle: (event: unknown) => void
  readonly #start: Cursor
  #intervalMs = 1_000
  #change = new AbortController()

  constructor(
    start: Cursor,
    poll: (cursor: Cursor) => Promise<Page<Cursor>>,
    handle: (event: unknown) => void,
  ) {
    this.#start = start
    this.#poll = poll
    this.#handle = handle
  }

  /** Also wakes up those that wait for longer; they spread over the new interval again. */
  pollEvery(intervalMs: number): void {
    this.#intervalMs = intervalMs
    this.#change.abort()
    this.#change = new AbortController()
  }

  /** Never resolves; rejects when a poll fails. */
  async run(): Promise<never> {
    let cursor = this.#start
    for (let first = true; ; ) {
      const waitMs =
        this.#intervalMs * (first ? Math.random() : 1 + JITTER * (2 * Math.random() - 1))
      first = await isCutShort(waitMs, this.#change.signal)
      if (first) continue
      let page: Page<Cursor>
      do {
        page = await this.#poll(cursor)
        for (const event of page.events) this.#handle(event)
        cursor = page.cursor
      } while (page.isFull)
    }
  }
}

async function isCutShort(waitMs: number, signal: AbortSignal): Promise<boolean> {
  try {
    await sleep(waitMs, undefined, { signal })
    return false
  } catch (error) {
    if (signal.aborted) return true
    throw error
  }
}
