import type { Connections } from '../connection/connections.ts'
import type { Session } from '../connection/session.ts'
import { channels } from '../diagnostics.ts'
import { MillraceError } from '../errors.ts'
import type { Decode } from '../stream/decode.ts'
import type { Decoded } from '../stream/event.ts'
import type { RawEntry } from '../stream/entry.ts'
import type { StreamKeys } from '../stream/keys.ts'
import { compareIds, FIRST_ID } from '../stream/stream-id.ts'
import { decodeBatch, toEntries } from './batch.ts'
import type { ReadAhead } from './read-ahead.ts'
import { largestAfterRead, pageCount } from './read-size.ts'
import { type Subscriber, Subscription } from './subscription.ts'

export interface Page {
  readonly batch: readonly Decoded<unknown>[]
  /** Whether the page reached the end of the stream. */
  readonly complete: boolean
  /** The greatest id that retention had removed when the page had been read; undefined when not known. */
  readonly trimmed: string | undefined
}

/** A page as all members at one position share it. */
interface SharedPage {
  readonly entries: readonly RawEntry[]
  readonly trimmed: string | undefined
  /** By decoder. */
  readonly decoded: Map<unknown, unknown>
}

/** What a feed needs of the tail that it belongs to. */
export interface TailDoor {
  /** When its last read came back, if one has. */
  readonly confirmedMs: number | undefined
  nowMs(): number
  /** The stream is to be read (again) from its cursor. */
  enter(feed: StreamFeed): void
  leave(feed: StreamFeed): void
}

/** One stream as this process reads it: its members, the tail's cursor on it, and shared pages. */
export class StreamFeed {
  readonly name: string
  readonly keys: StreamKeys
  readonly binary: boolean
  readonly readAhead: ReadAhead
  readonly #connections: Connections
  readonly #tail: TailDoor
  readonly #onEmpty: (feed: StreamFeed) => void
  readonly #all = new Set<Subscription>()
  readonly #joined = new Set<Subscription>()
  readonly #pages = new Map<string, Promise<SharedPage>>()
  /** The greatest id the tail has read of this stream. */
  #cursor = FIRST_ID
  /** Rises each time the tail begins to read this stream: replies of an earlier time are not for us. */
  #generation = 0
  #incarnation = ''
  #largestBytes = 256
  #dataSession: Session | undefined
  #verifiedMs: number | undefined

  constructor(
    stream: { readonly name: string; readonly keys: StreamKeys; readonly binary: boolean },
    connections: Connections,
    readAhead: ReadAhead,
    tail: TailDoor,
    onEmpty: (feed: StreamFeed) => void,
  ) {
    this.name = stream.name
    this.keys = stream.keys
    this.binary = stream.binary
    this.#connections = connections
    this.readAhead = readAhead
    this.#tail = tail
    this.#onEmpty = onEmpty
  }

  get cursor(): string {
    return this.#cursor
  }

  /** Which of the times that the tail reads this stream it is. */
  get generation(): number {
    return this.#generation
  }

  get largestBytes(): number {
    return this.#largestBytes
  }

  /** When the tail's last read came back, if one has. */
  get confirmedMs(): number | undefined {
    return this.#tail.confirmedMs
  }

  nowMs(): number {
    return this.#tail.nowMs()
  }

  /** When a member last learnt from the server that the stream is what was read of it, if one has. */
  get verifiedMs(): number | undefined {
    return this.#verifiedMs
  }

  /** The stream is what it was as far as this position, which says nothing of what was read behind it. */
  verified(position: string): void {
    if (compareIds(position, this.#cursor) >= 0) this.#verifiedMs = this.nowMs()
  }

  /** The incarnation that members were told; stands in the cursors of events. */
  get incarnation(): string {
    return this.#incarnation
  }

  get latencyBudgetMs(): number {
    let least = Number.POSITIVE_INFINITY
    for (const { subscriber } of this.#joined) least = Math.min(least, subscriber.latencyBudgetMs)
    return least
  }

  subscribe<Data>(subscriber: Subscriber<Data>): Subscription {
    const subscription = new Subscription(this, subscriber)
    this.#all.add(subscription)
    return subscription
  }

  remove(subscription: Subscription): void {
    this.#all.delete(subscription)
    if (this.#all.size === 0) this.#onEmpty(this)
  }

  /** Members learnt the stream's incarnation from their own state; a new one voids the feed. */
  adopt(incarnation: string): void {
    if (this.#incarnation === incarnation) return
    const before = this.#incarnation
    this.#incarnation = incarnation
    this.#pages.clear()
    if (before !== '') this.interrupt('the stream was created anew')
  }

  /** Joins the tail if its cursor is not beyond the member's position (it then drops what it has). */
  join(subscription: Subscription): boolean {
    if (this.#joined.size === 0) {
      this.#cursor = subscription.position
      this.#generation++
    } else if (compareIds(this.#cursor, subscription.position) > 0) {
      return false
    }
    this.#joined.add(subscription)
    if (this.#joined.size === 1) this.#tail.enter(this)
    channels.tailMembership.publish({
      stream: this.name,
      name: subscription.subscriber.name,
      joined: true,
    })
    return true
  }

  left(subscription: Subscription): void {
    this.#joined.delete(subscription)
    if (this.#joined.size === 0) this.#tail.leave(this)
    channels.tailMembership.publish({
      stream: this.name,
      name: subscription.subscriber.name,
      joined: false,
    })
  }

  /** Reading is not what it was: every member decides for itself where to go on. */
  interrupt(reason: string): void {
    for (const subscription of [...this.#all]) subscription.interrupt(reason)
  }

  /** Whether somebody who is joined wants gaps to be looked for in each read. */
  get missesNothing(): boolean {
    for (const { subscriber } of this.#joined) if (subscriber.missesNothing === true) return true
    return false
  }

  /** Retention has removed entries up to this id, as was found after a read. */
  leaveBehind(trimmed: string): void {
    for (const member of [...this.#joined]) {
      // The page that it reads now tells whether it misses anything.
      if (compareIds(trimmed, member.position) > 0) member.leaveTail()
    }
  }

  /** The tail read these entries. A promise where a schema is asynchronous; the tail waits for it. */
  dispatch(entries: readonly RawEntry[], hitCount: boolean): Promise<void> | undefined {
    const last = entries.at(-1)
    if (last === undefined) return undefined
    this.#cursor = last[0]
    if (channels.received.hasSubscribers) {
      channels.received.publish({ stream: this.name, by: 'tail', name: '', entries })
    }
    const byDecoder = new Map<Decode<unknown>, Subscription[]>()
    for (const subscription of this.#joined) {
      const { decode } = subscription.subscriber
      const members = byDecoder.get(decode)
      if (members === undefined) byDecoder.set(decode, [subscription])
      else members.push(subscription)
    }
    const generation = this.#generation
    const waiting: Promise<void>[] = []
    for (const [decode, members] of byDecoder) {
      const decoded = decodeBatch(entries, decode, this.#incarnation)
      const hand = (batch: readonly Decoded<unknown>[]): void => {
        this.#weigh(batch)
        // Whoever joined anew while a schema took its time joined at a cursor of its own.
        if (generation !== this.#generation) return
        for (const member of members) member.feed(batch)
      }
      if (decoded instanceof Promise) waiting.push(decoded.then(hand))
      else hand(decoded)
    }
    const done = (): void => {
      // More may be waiting than one read carries: pages are bounded, this read is not to grow.
      if (hitCount && generation === this.#generation)
        for (const subscription of [...this.#joined]) subscription.leaveTail()
    }
    if (waiting.length > 0) return Promise.all(waiting).then(done)
    done()
    return undefined
  }

  /** The next page after the member's position; members at one position share one read. */
  async page(subscription: Subscription): Promise<Page> {
    const { position } = subscription
    const averageBytes = this.readAhead.exhausted ? undefined : subscription.averageBytes
    const count = pageCount(averageBytes, subscription.subscriber.creditEvents)
    const key = `${position} ${count}`
    let page = this.#pages.get(key)
    if (page === undefined) {
      page = this.#read(position, count)
      this.#pages.set(key, page)
      const forget = (): void => {
        if (this.#pages.get(key) === page) this.#pages.delete(key)
      }
      page.then(forget, forget)
    }
    const { entries, trimmed, decoded } = await page
    const { decode } = subscription.subscriber
    let batch = decoded.get(decode) as ReturnType<typeof decodeBatch<unknown>> | undefined
    if (batch === undefined) {
      batch = decodeBatch(entries, decode, this.#incarnation)
      decoded.set(decode, batch)
    }
    const settled = batch instanceof Promise ? await batch : batch
    this.#weigh(settled)
    return { batch: settled, complete: entries.length < count, trimmed }
  }

  async #read(position: string, count: number): Promise<SharedPage> {
    const session = await this.#connections.session('data', this.keys.tag)
    const before = this.#dataSession
    this.#dataSession = session
    if (before !== undefined && before !== session) {
      // Another connection may lead to a server with another history.
      this.interrupt('the connection was replaced')
      throw new MillraceError('UNAVAILABLE', 'the connection was replaced')
    }
    try {
      const args = [this.keys.stream, `(${position}`, '+', 'COUNT', count] as const
      // On one connection, so the second answer is not older than the first.
      const [reply, retained] = await Promise.all([
        this.binary
          ? session.client.callBuffer('xrange', ...args)
          : session.client.call('xrange', ...args),
        session.client.call('hmget', this.keys.meta, 'incarnation', 'trimmed'),
      ])
      const entries = toEntries(reply)
      if (entries.length > 0 && channels.received.hasSubscribers) {
        channels.received.publish({ stream: this.name, by: 'page', name: '', entries })
      }
      return { entries, trimmed: this.trimmedIn(retained), decoded: new Map() }
    } catch (error) {
      await this.#connections.noteTrouble(session, error)
      throw error
    }
  }

  /** Takes incarnation and greatest id trimmed, as HMGET answers them. */
  trimmedIn(reply: unknown): string | undefined {
    const [incarnation, trimmed] = reply as readonly (string | null)[]
    return incarnation === this.#incarnation ? (trimmed ?? undefined) : undefined
  }

  #weigh(batch: readonly Decoded<unknown>[]): void {
    let largest = 0
    for (const { bytes } of batch) largest = Math.max(largest, bytes)
    this.#largestBytes = largestAfterRead(this.#largestBytes, largest)
  }
}
