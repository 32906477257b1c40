import type { OwnLink } from '../connection/connections.ts'
import { troubleOf } from '../connection/redis-errors.ts'
import type { Session } from '../connection/session.ts'
import type { StreamReply } from '../connection/stream-reply.ts'
import type { Core } from '../core.ts'
import { channels } from '../diagnostics.ts'
import { messageOf } from '../errors.ts'
import { inBackground } from '../instrumentation/instrumentation.ts'
import { pause } from '../lifecycle/signals.ts'
import { checkStreams } from './check-streams-script.ts'
import { initialPace, type Pace, paceAfterRead, waitBeforeRead, waitAtServer } from './pacing.ts'
import { tailCount } from './read-size.ts'
import type { StreamFeed, TailDoor } from './stream-feed.ts'

/** BLOCK where the user may not send CLIENT UNBLOCK: a stream that is added waits at most this long. */
const BLOCK_WITHOUT_UNBLOCK_MS = 250
/** How often CLIENT UNBLOCK is repeated while the read is unsettled: one in hundreds goes missing. */
const UNBLOCK_AGAIN_MS = 20
const GREATEST_BACKOFF_MS = 1_000

/**
 * The one blocking read of this process over all streams of one tag. It carries whoever has caught
 * up; streams come to it and leave it one by one, and all leave it when its connection ends.
 */
export class Tail implements TailDoor {
  readonly #core: Core
  readonly #tag: string
  readonly #link: OwnLink
  readonly #streams = new Set<StreamFeed>()
  readonly #closing = new AbortController()
  readonly #loop: Promise<void>
  #wake: (() => void) | undefined
  /** The read that is outstanding: its connection, and the streams that it lists. */
  #reading: { readonly session: Session; readonly listed: readonly Listed[] } | undefined
  #unblocking = false
  #mayUnblock = true
  #pace: Pace
  #lastCheckMs = 0
  /** The pause before the last connection, until a read on it has been answered. */
  #backoffMs = 0
  #confirmedMs: number | undefined

  constructor(core: Core, tag: string) {
    this.#core = core
    this.#tag = tag
    this.#pace = initialPace(core.clock.monotonicMs())
    this.#link = core.connections.own('tail', tag, core.options.blockMs)
    this.#loop = inBackground(core.options.instrumentation, () => this.#run())
  }

  /** When the last read came back, if one has. */
  get confirmedMs(): number | undefined {
    return this.#confirmedMs
  }

  nowMs(): number {
    return this.#core.clock.monotonicMs()
  }

  enter(feed: StreamFeed): void {
    this.#streams.add(feed)
    this.#wake?.()
    if (this.#reading !== undefined) void this.#unblock()
  }

  leave(feed: StreamFeed): void {
    // An outstanding read may still bring entries of it; nobody is joined to take them.
    this.#streams.delete(feed)
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#wake?.()
    this.#link.close()
    await this.#loop
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing
    while (!signal.aborted) {
      if (this.#streams.size === 0) {
        await this.#rest()
        continue
      }
      let session: Session | undefined
      try {
        session = await this.#link.session({ signal })
        await this.#readOn(session)
      } catch (error) {
        this.#reading = undefined
        if (signal.aborted) break
        if (session !== undefined) {
          await this.#core.connections.noteTrouble(session, error)
          session.end(messageOf(error))
        }
        this.#report(error)
        this.#interruptAll(messageOf(error))
        this.#backoffMs = Math.min(Math.max(this.#backoffMs * 2, 20), GREATEST_BACKOFF_MS)
        await pause(this.#core.clock, this.#backoffMs, signal)
      }
    }
  }

  /** Reads on one connection until there is nothing to read or the connection fails. */
  async #readOn(session: Session): Promise<void> {
    while (!this.#closing.signal.aborted && this.#streams.size > 0) {
      const { clock, options } = this.#core
      const waitMs = waitBeforeRead(this.#pace, this.#latencyBudgetMs(), this.#streams.size)
      // Where it may not be ended, a stream that comes meanwhile would have to wait for it.
      const mayDelay = this.#mayUnblock && session.reads.takesDelay
      const delayMs = mayDelay ? waitAtServer(this.#pace, waitMs) : 0
      if (waitMs > 0 && delayMs === 0) await this.#rest(waitMs)
      if (this.#closing.signal.aborted) return
      const listed = [...this.#streams].map((feed) => ({ feed, generation: feed.generation }))
      if (listed.length === 0) return
      const count = tailCount(options.readAheadBytes, listed.length, largestOf(listed))
      const blockMs = this.#mayUnblock
        ? options.blockMs
        : Math.min(options.blockMs, BLOCK_WITHOUT_UNBLOCK_MS)
      const reading = this.#read(session, listed, count, { blockMs, delayMs })
      const strict = listed.filter(({ feed }) => feed.missesNothing)
      const reply =
        strict.length === 0 ? await reading : await this.#strictly(session, strict, reading)
      this.#reading = undefined
      this.#backoffMs = 0
      const dispatched = this.#dispatch(listed, reply, count)
      const events = typeof dispatched === 'number' ? dispatched : await dispatched
      const nowMs = clock.monotonicMs()
      this.#confirmedMs = nowMs
      if (events > 0) this.#pace = paceAfterRead(this.#pace, events, nowMs, waitMs)
      if (events === 0 || nowMs - this.#lastCheckMs > options.blockMs) await this.#check(nowMs)
    }
  }

  #read(
    session: Session,
    listed: readonly Listed[],
    count: number,
    { blockMs, delayMs }: { readonly blockMs: number; readonly delayMs: number },
  ): Promise<StreamReply | undefined> {
    const args: (string | number)[] = ['COUNT', count, 'BLOCK', blockMs, 'STREAMS']
    for (const { feed } of listed) args.push(feed.keys.stream)
    for (const { feed } of listed) args.push(feed.cursor)
    this.#reading = { session, listed }
    const binary = listed.some(({ feed }) => feed.binary)
    const emptyKey = listed[0]?.feed.keys.empty
    const delay = delayMs === 0 || emptyKey === undefined ? undefined : { ms: delayMs, emptyKey }
    return session.reads.read(binary, 'xread', args, delay)
  }

  /** Asks, behind the read, what retention has removed of the streams whose members must miss nothing. */
  async #strictly(
    session: Session,
    strict: readonly Listed[],
    reading: Promise<StreamReply | undefined>,
  ): Promise<StreamReply | undefined> {
    const asked = strict.map(({ feed }) =>
      session.client.call('hmget', feed.keys.meta, 'incarnation', 'trimmed'),
    )
    const [reply, ...answers] = await Promise.all([reading, ...asked])
    for (const [i, one] of strict.entries()) {
      const trimmed = one.feed.trimmedIn(answers[i])
      if (trimmed !== undefined && this.#isRead(one)) one.feed.leaveBehind(trimmed)
    }
    return reply
  }

  /** How many events it were. A promise only where a schema is asynchronous: each costs all events time. */
  #dispatch(
    listed: readonly Listed[],
    reply: StreamReply | undefined,
    count: number,
  ): number | Promise<number> {
    if (reply === undefined) return 0
    const byKey = new Map(listed.map((one) => [one.feed.keys.stream, one]))
    const waiting: Promise<void>[] = []
    let events = 0
    for (const [key, entries] of reply) {
      const one = byKey.get(key)
      events += entries.length
      // A stream that left meanwhile may have come back with another cursor: this is not what follows it.
      if (one === undefined || !this.#isRead(one)) continue
      const dispatched = one.feed.dispatch(entries, entries.length >= count)
      if (dispatched !== undefined) waiting.push(dispatched)
    }
    if (channels.tailRead.hasSubscribers) {
      channels.tailRead.publish({ tag: this.#tag, streams: listed.length, events, bytes: 0 })
    }
    return waiting.length === 0 ? events : Promise.all(waiting).then(() => events)
  }

  /**
   * XREAD says nothing when a stream is deleted or created anew, so the figures are looked at. Where a
   * consumer beats, the answer has just told.
   */
  async #check(nowMs: number): Promise<void> {
    this.#lastCheckMs = nowMs
    const sinceMs = nowMs - this.#core.options.blockMs
    const feeds = [...this.#streams].filter(({ verifiedMs }) => (verifiedMs ?? 0) < sinceMs)
    if (feeds.length === 0) return
    const changed = await checkStreams(
      this.#core.connections,
      this.#tag,
      feeds,
      this.#closing.signal,
    )
    for (const [feed, reason] of changed) if (this.#streams.has(feed)) feed.interrupt(reason)
  }

  #latencyBudgetMs(): number {
    let least = Number.POSITIVE_INFINITY
    for (const feed of this.#streams) least = Math.min(least, feed.latencyBudgetMs)
    return least
  }

  #interruptAll(reason: string): void {
    for (const feed of [...this.#streams]) {
      try {
        feed.interrupt(reason)
      } catch (error) {
        // One member's failure must not end the loop that all others live on.
        this.#report(error)
      }
    }
  }

  #report(error: unknown): void {
    channels.loopFailed.publish({
      loop: 'tail',
      stream: [...this.#streams].map((feed) => feed.name).join(','),
      name: this.#tag,
      error: error instanceof Error ? error : new Error(String(error)),
    })
  }

  /** Ends the outstanding read so that the next one lists the streams that came meanwhile. */
  async #unblock(): Promise<void> {
    if (this.#unblocking || !this.#mayUnblock) return
    this.#unblocking = true
    // Not only once: a stream may come while a read is being ended for another one.
    while (this.#mayUnblock && this.#lacksStreams()) {
      try {
        const control = await this.#core.connections.session('control', this.#tag)
        // Only while a read is outstanding, with the id learnt on its own connection.
        const reading = this.#reading
        if (reading === undefined || !this.#lacksStreams()) break
        await control.client.call('client', 'unblock', reading.session.clientId)
      } catch (error) {
        if (troubleOf(error) === 'no-permission') this.#mayUnblock = false
      }
      await pause(this.#core.clock, UNBLOCK_AGAIN_MS, this.#closing.signal)
    }
    this.#unblocking = false
  }

  /** Whether a read is outstanding that lacks a stream, or reads it from a cursor of an earlier time. */
  #lacksStreams(): boolean {
    if (this.#reading === undefined || this.#closing.signal.aborted) return false
    const { listed } = this.#reading
    const current = listed.filter((one) => this.#isRead(one)).length
    return current < this.#streams.size
  }

  #isRead({ feed, generation }: Listed): boolean {
    return this.#streams.has(feed) && feed.generation === generation
  }

  /** Waits until a stream comes, the time is over if one is given, or the tail is closed. */
  #rest(ms?: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const wake = (): void => {
      this.#wake = undefined
      cancel?.()
      resolve()
    }
    const cancel = ms === undefined ? undefined : this.#core.clock.after(ms, wake)
    this.#wake = wake
    return promise
  }
}

/** A stream in a read, and which of the times that it is read. */
interface Listed {
  readonly feed: StreamFeed
  readonly generation: number
}

function largestOf(listed: readonly Listed[]): number {
  let largest = 1
  for (const { feed } of listed) largest = Math.max(largest, feed.largestBytes)
  return largest
}
