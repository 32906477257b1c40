import { compareIds } from '@millrace/runtime'
import { PollAdapterError } from '../errors.ts'
import type { Follower } from './follower.ts'
import type { History, Measure } from './history.ts'
import type { FeedPage } from './feed.ts'
import type { ResolvedFeedOptions, ResolvedPoll } from './options.ts'
import { type Candidates, cutPage } from './page.ts'
import { type Place, refusalOf } from './places.ts'
import { BEFORE_ALL, type StreamPosition } from './stream-position.ts'
import type { Kept, Window } from './window.ts'

/** One look behind a place. */
export interface Step<Item> {
  readonly page: FeedPage<Item>
  /** Where the next look goes on. */
  readonly place: Place
  readonly source: 'memory' | 'redis'
}

/** Makes pages, from memory where it reaches and from Redis otherwise. */
export class Pages<Data, Item> {
  readonly #options: ResolvedFeedOptions<Data, Item>
  readonly #follower: Follower<Data>
  readonly #history: History<Data>
  /** Pages of the window as it is, by place and limit. */
  #steps = new Map<string, Step<Item>>()
  #stepsOf: { readonly window: Window<Data>; readonly version: number } | undefined
  readonly #items = new WeakMap<object, { readonly item: Item | undefined }>()

  constructor(
    options: ResolvedFeedOptions<Data, Item>,
    follower: Follower<Data>,
    history: History<Data>,
  ) {
    this.#options = options
    this.#follower = follower
    this.#history = history
  }

  /**
   * The next step, at once, where memory reaches; undefined where Redis has to be asked. A thousand polls that are
   * woken together would else take turns several times before the first of them is answered.
   */
  atOnce(place: Place, { limit }: ResolvedPoll): Step<Item> | undefined {
    const window = this.#follower.current
    if (window === undefined) return undefined
    this.#assertAlive(place, window)
    const from = this.#inWindow(place, window)
    return from === undefined ? undefined : this.#fromWindow(window, from, place, limit)
  }

  async next(place: Place, poll: ResolvedPoll): Promise<Step<Item>> {
    const { limit, signal } = poll
    const window = await this.#follower.window(signal)
    const here = this.atOnce(place, poll)
    if (here !== undefined) return here
    this.#assertAlive(place, window)
    for (let more = 1; ; more *= 4) {
      const most = this.#measure(limit, more)
      const step = await this.#fromRedis(window, place, limit, most, signal)
      if (step !== undefined) return step
    }
  }

  #assertAlive({ generation, from }: Place, { incarnation }: Window<Data>): void {
    if (generation === this.#follower.generation) return
    // Another process had seen the new stream before this one did.
    if (from !== 'earliest' && from.incarnation !== '' && from.incarnation === incarnation) return
    throw new PollAdapterError(
      'STREAM_RECREATED',
      'The event stream was created anew, or emptied',
      {
        name: this.#options.name,
      },
    )
  }

  /** What to look at for one page; more where no page ends within that. */
  #measure(limit: number, times: number): Measure {
    return { count: (limit + 1) * times, bytes: this.#options.maxPageBytes * times }
  }

  #assertTie(events: number, limit: number): void {
    const { maxTie, name } = this.#options
    if (events <= Math.max(maxTie, limit + 1)) return
    throw new PollAdapterError(
      'SOURCE_FAILED',
      `More than ${maxTie} events have one cursor; raise maxTie, or let ties be extended`,
      { name },
    )
  }

  /** The place as an id, where the window has everything behind it. */
  #inWindow({ from }: Place, window: Window<Data>): string | undefined {
    // A stream without a single event so far begins with the window.
    if (from === 'earliest') return window.base === BEFORE_ALL ? window.base : undefined
    return window.follows(from) ? from.id : undefined
  }

  #fromWindow(window: Window<Data>, id: string, place: Place, limit: number): Step<Item> {
    const settled = this.#follower.isSettled(window)
    if (this.#stepsOf?.window !== window || this.#stepsOf.version !== window.version) {
      this.#steps = new Map()
      this.#stepsOf = { window, version: window.version }
    }
    const key = `${id} ${limit} ${settled}`
    let step = this.#steps.get(key)
    if (step === undefined) {
      step = this.#cutWindow(window, id, place, limit, settled)
      // An empty page carries the cursor that the poll came with, which may be written differently.
      if (step.page.items.length > 0) this.#steps.set(key, step)
    }
    return step
  }

  #cutWindow(
    window: Window<Data>,
    id: string,
    place: Place,
    limit: number,
    settled: boolean,
  ): Step<Item> {
    for (let times = 1; ; times *= 4) {
      const kept = window.after(id, this.#measure(limit, times))
      const { incarnation } = window
      const more = compareIds(kept.at(-1)?.id ?? id, window.lastId) < 0
      const step = this.#cut({ kept, incarnation, more, settled }, window, place, limit, 'memory')
      if (step !== undefined) return step
    }
  }

  async #fromRedis(
    window: Window<Data>,
    place: Place,
    limit: number,
    most: Measure,
    signal: AbortSignal | undefined,
  ): Promise<Step<Item> | undefined> {
    const { from, value } = place
    const stretch = await this.#history.after(from, value, most, signal).catch((error: unknown) => {
      throw refusalOf(error, { stream: '', name: this.#options.name })
    })
    const last = stretch.kept.at(-1)
    if (last === undefined) {
      // There is nothing up to where the window begins, or to what it has not got yet.
      const base: StreamPosition = { incarnation: window.incarnation, id: window.base }
      const isBefore = from === 'earliest' || compareIds(from.id, base.id) < 0
      const next = isBefore ? { ...place, from: base } : place
      return { page: this.#emptyPage(window, place), place: next, source: 'redis' }
    }
    // What ends the stream is in the window, which knows when it came; what is not there is still new.
    const isOld = compareIds(last.id, window.base) <= 0
    const isLast = last.id === window.lastId
    const settled = isOld || (isLast && this.#follower.isSettled(window))
    return this.#cut({ ...stretch, settled }, window, place, limit, 'redis')
  }

  #cut(
    candidates: Candidates<Data>,
    window: Window<Data>,
    place: Place,
    limit: number,
    source: Step<Item>['source'],
  ): Step<Item> | undefined {
    const { kept, incarnation, more } = candidates
    if (kept.length === 0) return { page: this.#emptyPage(window, place), place, source }
    const cut = cutPage(this.#options.cursor, candidates, limit)
    if (cut.kind === 'too-few') {
      this.#assertTie(kept.length, limit)
      return undefined
    }
    if (cut.kind === 'held-back') {
      this.#follower.lookAgainWhenSettled(window)
      return { page: this.#emptyPage(window, place), place, source }
    }
    const taken = kept.slice(0, cut.count)
    const last = taken.at(-1)
    const items = taken.flatMap((one) => this.#itemOf(one))
    const page = Object.freeze({
      items: Object.freeze(items),
      cursor: cut.cursor,
      hasMore: more || kept.length > cut.count,
    })
    const from = last === undefined ? place.from : { incarnation, id: last.id }
    return { page, place: { ...place, from, value: last?.value, cursor: cut.cursor }, source }
  }

  #emptyPage(window: Window<Data>, place: Place): FeedPage<Item> {
    const cursor = place.cursor === undefined ? this.#cursorAt(window, place) : place.cursor
    return Object.freeze({ items: Object.freeze([]), cursor, hasMore: false })
  }

  /** The cursor for a place that no cursor was given for, or one that lies beyond it. */
  #cursorAt(window: Window<Data>, { from, fallback }: Place): number | string | null {
    const { cursor: form } = this.#options
    if (from === 'earliest' || from.id === BEFORE_ALL) return fallback ?? form.origin
    // What the window has not got yet, or nothing at all: only the place itself is known.
    const isBare = window.events === 0 || compareIds(window.lastId, from.id) < 0
    if (isBare) {
      const cursor = form.format({ position: from, value: undefined, tieGoesOn: 'perhaps' })
      return cursor ?? fallback ?? form.origin
    }
    // The last place before it that has a cursor: what is repeated then was never handed out.
    const open = this.#follower.isSettled(window) ? 'settled' : 'perhaps'
    let at = window.atOrBefore(from.id)
    let next: Kept<Data> | undefined
    while (at !== undefined) {
      const tieGoesOn = next === undefined ? open : form.isTie(at, next) ? 'yes' : 'no'
      const position = { incarnation: window.incarnation, id: at.id }
      const cursor = form.format({ position, value: at.value, tieGoesOn })
      if (cursor !== undefined) return cursor
      next = at
      at = window.before(at.id)
    }
    return fallback ?? form.origin
  }

  #itemOf({ event }: Kept<Data>): readonly Item[] {
    let known = this.#items.get(event)
    if (known === undefined) {
      known = { item: this.#options.item(event) }
      this.#items.set(event, known)
    }
    return known.item === undefined ? [] : [known.item]
  }
}
