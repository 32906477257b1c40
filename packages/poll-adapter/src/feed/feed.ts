import { type EventStream, isMillraceError, type Millrace } from '@millrace/runtime'
import { pollChannels } from '../diagnostics.ts'
import { messageOf, PollAdapterError } from '../errors.ts'
import { type Clock, systemClock } from '../lifecycle/clock.ts'
import { abortedError, onAbort, pause, throwIfAborted } from '../lifecycle/signals.ts'
import { Follower } from './follower.ts'
import { History } from './history.ts'
import {
  type FeedOptions,
  type PollRequest,
  type ResolvedFeedOptions,
  type ResolvedPoll,
  resolveFeedOptions,
  resolvePoll,
} from './options.ts'
import { Pages, type Step } from './pages.ts'
import { Places, type Place } from './places.ts'
import { WaitingRoom } from './waiting.ts'

/** The answer to a poll. Frozen; pollers at one place share it. */
export interface FeedPage<Item> {
  readonly items: readonly Item[]
  /**
   * What to ask with next: the old cursor's form. Null while the stream has had no event and the form has
   * no cursor for the beginning; leave `since` out then.
   */
  readonly cursor: number | string | null
  /** Whether there is more to fetch at once. */
  readonly hasMore: boolean
}

/**
 * Answers polls from an event stream, with the cursors that pollers already know. Caught-up pollers are
 * answered from memory: this process reads the end of the stream once, however many ask.
 * @throws PollAdapterError `OPTIONS_INVALID`
 */
export function createFeed<Data, Item = Data>(
  millrace: Millrace,
  stream: EventStream<never, Data>,
  options: FeedOptions<Data, Item> = {},
): CursorFeed<Data, Item> {
  return new CursorFeed(millrace, stream, resolveFeedOptions(stream.name, options), systemClock)
}

/** How long a poll that does not wait goes through events that are left out, in milliseconds. */
const LONGEST_SCAN_MS = 1_000

/** How long polls that read Redis may go on once the feed closes, in milliseconds. */
const FINISH_MS = 2_000

/** See {@link createFeed}. */
export class CursorFeed<Data, Item = Data> {
  readonly name: string
  readonly #stream: EventStream<never, Data>
  readonly #options: ResolvedFeedOptions<Data, Item>
  readonly #clock: Clock
  readonly #closing = new AbortController()
  readonly #follower: Follower<Data>
  readonly #places: Places<Data>
  readonly #pages: Pages<Data, Item>
  readonly #waiting: WaitingRoom
  readonly #running = new Set<Promise<unknown>>()
  readonly #closed = Promise.withResolvers<void>()
  /** Rises when there is a reason to look again. */
  #news = 0
  #offSignal: () => void = () => undefined
  #close: Promise<void> | undefined

  /** Use {@link createFeed}. @internal */
  constructor(
    millrace: Millrace,
    stream: EventStream<never, Data>,
    options: ResolvedFeedOptions<Data, Item>,
    clock: Clock,
  ) {
    this.name = options.name
    this.#stream = stream
    this.#options = options
    this.#clock = clock
    this.#waiting = new WaitingRoom(clock, options.maxWaiting)
    const { signal } = this.#closing
    const history = new History(millrace, stream, options.cursor, options, signal)
    this.#follower = new Follower(millrace, stream, options.cursor, options, clock, {
      changed: () => {
        this.#news++
        this.#waiting.wake('event')
      },
      ended: () => void this.close(),
    })
    this.#places = new Places(millrace, stream, options, this.#follower, history, clock, signal)
    this.#pages = new Pages(options, this.#follower, history)
    this.#offSignal = onAbort(options.signal, () => void this.close())
  }

  /** Resolves when everything that `close` does is done. */
  get closed(): Promise<void> {
    return this.#closed.promise
  }

  /** How many polls wait for an event. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** Resolves once the end of the stream is followed; the first poll waits for it otherwise. */
  async ready(signal?: AbortSignal): Promise<void> {
    await this.#follower.window(signal)
  }

  /**
   * Events after a cursor; at once when there are any, otherwise when one comes or the wait is over.
   * @throws PollAdapterError `REQUEST_INVALID`, `CURSOR_INVALID`, `CURSOR_AHEAD`, `CURSOR_EXPIRED`,
   * `STREAM_RECREATED`, `BUSY`, `CLOSED`, `ABORTED`
   * @throws MillraceError `UNAVAILABLE`, `PAYLOAD_INVALID` and what else reading meets
   */
  async poll(request: PollRequest = {}): Promise<FeedPage<Item>> {
    if (this.#close !== undefined) throw this.#closedError()
    const polling = this.#poll(request)
    this.#running.add(polling)
    try {
      return await polling
    } catch (error) {
      const refusal = this.#refusal(error)
      pollChannels.feedRefused.publish({
        stream: this.#stream.name,
        feed: this.name,
        code: refusal instanceof PollAdapterError ? refusal.code : codeOf(refusal),
        error: refusal,
      })
      throw refusal
    } finally {
      this.#running.delete(polling)
    }
  }

  /** Answers everyone who waits, at once and as when the time is up, and lets go of the stream. Idempotent. */
  close(): Promise<void> {
    this.#close ??= this.#end()
    return this.#close
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #end(): Promise<void> {
    this.#offSignal()
    this.#waiting.wake('closing')
    // What reads Redis may finish, but not wait for a Redis that is away.
    const finished = Promise.allSettled([...this.#running])
    const over = new AbortController()
    await Promise.race([finished, pause(this.#clock, FINISH_MS, over.signal)])
    over.abort()
    this.#closing.abort()
    await finished
    await this.#follower.close()
    this.#closed.resolve()
  }

  async #poll(request: PollRequest): Promise<FeedPage<Item>> {
    const poll = resolvePoll(request, this.#options)
    throwIfAborted(poll.signal, 'The poll')
    const startedMs = this.#clock.monotonicMs()
    const place = await this.#places.of(poll)
    const step = await this.#next(poll, place, startedMs)
    if (pollChannels.feedPolled.hasSubscribers) {
      const waitedMs = step.waited ? this.#clock.monotonicMs() - startedMs : 0
      const { items } = step.page
      pollChannels.feedPolled.publish({
        stream: this.#stream.name,
        feed: this.name,
        items: items.length,
        source: step.source,
        waitedMs,
      })
    }
    return step.page
  }

  /** Looks and waits by turns until there is something, or the time is up. */
  async #next(
    poll: ResolvedPoll,
    start: Place,
    startedMs: number,
  ): Promise<Step<Item> & { readonly waited: boolean }> {
    let place = start
    let waited = false
    for (;;) {
      const seen = this.#news
      const step = this.#pages.atOnce(place, poll) ?? (await this.#pages.next(place, poll))
      throwIfAborted(poll.signal, 'The poll')
      if (step.page.items.length > 0) {
        this.#places.note(step.page.cursor, step.place)
        return { ...step, waited }
      }
      place = step.place
      const spentMs = this.#clock.monotonicMs() - startedMs
      const leftMs = poll.waitMs - spentMs
      // Everything there was left out. What follows is another page, for as long as a client has patience.
      if (step.page.hasMore && spentMs < Math.max(poll.waitMs, LONGEST_SCAN_MS)) continue
      if (step.page.hasMore) return { ...step, waited }
      if (leftMs <= 0 || this.#close !== undefined) return { ...step, waited }
      // An event may have come while Redis was asked.
      if (seen !== this.#news) continue
      waited = true
      const why = await this.#waiting.wait(leftMs, poll.signal)
      if (why === 'aborted' && poll.signal !== undefined)
        throw abortedError(poll.signal, 'The poll')
      // Closing answers with what there is: nothing, and a cursor that works elsewhere.
      if (why === 'closing') return { ...step, waited }
    }
  }

  #refusal(error: unknown): Error {
    const facts = { cause: error, stream: this.#stream.name, name: this.name }
    if (isMillraceError(error, 'GAP')) {
      return new PollAdapterError(
        'CURSOR_EXPIRED',
        'Events after this cursor have been removed by retention',
        facts,
      )
    }
    if (isMillraceError(error, 'CLOSED')) return this.#closedError()
    // The feed's own signal, as it closes; a client that went away is an error of the adapter.
    if (isMillraceError(error, 'ABORTED') && this.#closing.signal.aborted)
      return this.#closedError()
    if (error instanceof Error) return error
    return new PollAdapterError('INTERNAL', messageOf(error), facts)
  }

  #closedError(): PollAdapterError {
    return new PollAdapterError('CLOSED', `Feed ${this.name} was closed`, { name: this.name })
  }
}

function codeOf(error: Error): string {
  return isMillraceError(error) ? error.code : 'INTERNAL'
}
