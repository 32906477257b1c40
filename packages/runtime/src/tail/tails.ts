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
  readonly #tails = new Map<string, Tail>()
  readonly #feeds = new Map<string, StreamFeed>()

  constructor(core: Core) {
    this.#core = core
    this.#readAhead = new ReadAhead(core.options.readAheadBytes)
  }

  /**
   * The feed of a stream, shared by all its readers and consumers here.
   * @throws MillraceError `TOO_MANY_TAILS`
   */
  feed(stream: StreamLike): StreamFeed {
    const keys = this.#core.keysOf(stream)
    const known = this.#feeds.get(keys.stream)
    if (known !== undefined) return known
    const feed = new StreamFeed(
      { name: stream.name, keys, binary: stream.codec.binary },
      this.#core.connections,
      this.#readAhead,
      this.#tail(keys.tag),
      () => this.#feeds.delete(keys.stream),
    )
    this.#feeds.set(keys.stream, feed)
    return feed
  }

  async close(): Promise<void> {
    await Promise.all([...this.#tails.values()].map((tail) => tail.close()))
  }

  #tail(tag: string): Tail {
    const cluster = this.#core.options.address.kind === 'cluster'
    const key = cluster ? tag : ''
    let tail = this.#tails.get(key)
    if (tail !== undefined) return tail
    const { maxTails } = this.#core.options
    if (this.#tails.size >= maxTails) {
      throw new MillraceError(
        'TOO_MANY_TAILS',
        `The streams read here lie in more than ${maxTails} cluster slots; give small streams the same colocate tag, or raise maxTails`,
      )
    }
    tail = new Tail(this.#core, tag)
    this.#tails.set(key, tail)
    return tail
  }
}
