import type { Core, StreamLike } from '../core.ts'
import { MillraceError } from '../errors.ts'
import { ReadAhead } from './read-ahead.ts'
import { StreamFeed } from './stream-feed.ts'
import { Tail } from './tail.ts'

/**
 * All tails of one process. Standalone and Sentinel have one for all streams; in a cluster a blocking
 * read serves one slot, so there is one for each tag.
 */
export class Tails {
  readonly #core: Core
  readonly #readAhead: ReadAhead
  readonly #tails = new Map<string, TailInUse>()
  readonly #feeds = new Map<string, StreamFeed>()
  readonly #closing = new Set<Promise<void>>()

  constructor(core: Core) {
    this.#core = core
    this.#readAhead = new ReadAhead(core.options.readAheadBytes)
  }

  /**
   * Makes sure that there is a tail for the stream until the answer is called. Whoever is going to read
   * asks before it takes anything else, and says when it is done: the tail stays for whoever comes next,
   * until its place is needed.
   * @throws MillraceError `TOO_MANY_TAILS`
   */
  hold(stream: StreamLike): () => void {
    const { tag } = this.#core.keysOf(stream)
    const inUse = this.#tail(tag)
    inUse.holders++
    let held = true
    return () => {
      if (!held) return
      held = false
      inUse.holders--
    }
  }

  /**
   * The feed of a stream, shared by all its readers and consumers here, which hold its tail meanwhile.
   * @throws MillraceError `TOO_MANY_TAILS`
   */
  feed(stream: StreamLike): StreamFeed {
    const keys = this.#core.keysOf(stream)
    const known = this.#feeds.get(keys.stream)
    if (known !== undefined) return known
    const inUse = this.#tail(keys.tag)
    const feed = new StreamFeed(
      { name: stream.name, keys, binary: stream.codec.binary },
      this.#core.connections,
      this.#readAhead,
      inUse.tail,
      () => {
        this.#feeds.delete(keys.stream)
        inUse.feeds.delete(keys.stream)
      },
    )
    this.#feeds.set(keys.stream, feed)
    inUse.feeds.add(keys.stream)
    return feed
  }

  async close(): Promise<void> {
    for (const inUse of [...this.#tails.values()]) this.#letGo(inUse)
    await Promise.all(this.#closing)
  }

  #tail(tag: string): TailInUse {
    const cluster = this.#core.options.address.kind === 'cluster'
    const key = cluster ? tag : ''
    const known = this.#tails.get(key)
    if (known !== undefined) return known
    const { maxTails } = this.#core.options
    const idle = [...this.#tails.values()].find(({ holders }) => holders === 0)
    if (this.#tails.size >= maxTails && idle !== undefined) this.#letGo(idle)
    if (this.#tails.size >= maxTails) {
      throw new MillraceError(
        'TOO_MANY_TAILS',
        `The streams read here lie in more than ${maxTails} cluster slots; give small streams the same colocate tag, or raise maxTails`,
      )
    }
    const inUse: TailInUse = { key, tail: new Tail(this.#core, tag), feeds: new Set(), holders: 0 }
    this.#tails.set(key, inUse)
    return inUse
  }

  #letGo({ key, tail, feeds }: TailInUse): void {
    this.#tails.delete(key)
    for (const name of feeds) this.#feeds.delete(name)
    const closed = tail.close().finally(() => this.#closing.delete(closed))
    this.#closing.add(closed)
  }
}

/** A tail, the streams that it may read, and how many want it to be there. */
interface TailInUse {
  readonly key: string
  readonly tail: Tail
  readonly feeds: Set<string>
  holders: number
}
