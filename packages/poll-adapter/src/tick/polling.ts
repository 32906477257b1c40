import type { Cursor } from '../change/cursor.ts'
import type { Page } from '../change/source.ts'
import { pollChannels } from '../diagnostics.ts'
import { messageOf, PollAdapterError } from '../errors.ts'
import type { Clock } from '../lifecycle/clock.ts'
import { abortable, pause } from '../lifecycle/signals.ts'
import type { ResolvedTickLoopOptions } from './options.ts'
import { untilDueMs, untilNextTickMs } from './schedule.ts'

/**
 * Polls: asks, hands each item to the handler, keeps the cursor, and again at the next tick. The cursor
 * moves only after all items of a page were handled; whatever fails is told of, and the page is asked
 * for again at the next tick.
 */
export class Polling<Item> {
  readonly #options: ResolvedTickLoopOptions<Item>
  readonly #clock: Clock
  #cursor: Cursor | undefined
  #isLoaded = false
  readonly #closing = new AbortController()
  readonly #hurry = new AbortController()
  #wake = new AbortController()
  #running: Promise<void> | undefined

  constructor(options: ResolvedTickLoopOptions<Item>, clock: Clock) {
    this.#options = options
    this.#clock = clock
  }

  start(): void {
    this.#running ??= this.#run(this.#closing.signal)
  }

  /** Polls no more; a handler that runs is waited for until the deadline, and then told. */
  async close({ deadlineMs }: { readonly deadlineMs: number }): Promise<void> {
    this.#closing.abort()
    const over = new AbortController()
    await Promise.race([this.#running, pause(this.#clock, deadlineMs, over.signal)])
    over.abort()
    this.#hurry.abort()
  }

  /** Asks now, or right after the tick that is under way. */
  poke(): void {
    this.#wake.abort()
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const begunMs = this.#clock.wallMs()
      this.#wake = new AbortController()
      await this.#tick(signal)
      const either = AbortSignal.any([signal, this.#wake.signal])
      await this.#untilNextTick(begunMs, either)
    }
  }

  async #untilNextTick(begunMs: number, signal: AbortSignal): Promise<void> {
    const { every } = this.#options
    if (typeof every === 'number') {
      await pause(this.#clock, untilNextTickMs(every, begunMs, this.#clock.wallMs()), signal)
      return
    }
    let dueMs = Number.NaN
    do {
      if (Number.isNaN(dueMs)) dueMs = this.#dueMs(every)
      await pause(this.#clock, untilDueMs(dueMs, this.#clock.wallMs()), signal)
    } while (!signal.aborted && !(this.#clock.wallMs() >= dueMs))
  }

  /** A schedule that fails names no time. */
  #dueMs(every: (afterMs: number) => number): number {
    try {
      return Number(every(this.#clock.wallMs()))
    } catch (error) {
      this.#tellOf(error)
      return Number.NaN
    }
  }

  async #tick(signal: AbortSignal): Promise<void> {
    const { cursor } = this.#options
    try {
      if (!this.#isLoaded) this.#cursor = await cursor.load()
      this.#isLoaded = true
      let more = true
      while (more && !signal.aborted) more = await this.#page(signal)
    } catch (error) {
      if (signal.aborted) return
      this.#tellOf(error)
    }
  }

  #tellOf(error: unknown): void {
    pollChannels.pollerFailed.publish({
      stream: '',
      poller: this.#options.name,
      mode: 'poll',
      error: error instanceof Error ? error : new Error(messageOf(error)),
    })
  }

  /** Answers whether the source says that there is more. */
  async #page(signal: AbortSignal): Promise<boolean> {
    const { handler, cursor: store } = this.#options
    const page = await this.#fetch(signal)
    if (page.notModified !== true) {
      for (const item of page.items) {
        // What is left of the page comes again, to whoever polls next.
        if (signal.aborted) return false
        await handler(item, { signal: this.#hurry.signal })
      }
    }
    const { cursor } = page
    const moved = cursor !== undefined && cursor !== this.#cursor
    if (moved) {
      this.#cursor = cursor
      await store.save(cursor)
    }
    // A source that says so without moving would be asked without end.
    return page.hasMore === true && moved
  }

  async #fetch(signal: AbortSignal): Promise<Page<Item>> {
    const { fetch, pageSize, fetchTimeoutMs } = this.#options
    const either = AbortSignal.any([signal, AbortSignal.timeout(fetchTimeoutMs)])
    let page: Page<Item>
    try {
      const asked = (async () => fetch(this.#cursor, { signal: either, limit: pageSize }))()
      page = await abortable(asked, either, 'Asking the source')
    } catch (error) {
      throw new PollAdapterError('SOURCE_FAILED', `The source failed: ${messageOf(error)}`, {
        cause: error,
      })
    }
    if (typeof page === 'object' && page !== null && Array.isArray(page.items)) return page
    throw new PollAdapterError('SOURCE_FAILED', 'The source answered something without items')
  }
}
