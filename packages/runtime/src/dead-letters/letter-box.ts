import type { Core } from '../core.ts'
import { throwIfAborted } from '../lifecycle/signals.ts'
import { decoderOf } from '../stream/decode.ts'
import type { EventStream } from '../stream/define-stream.ts'
import { entryBytes } from '../stream/entry.ts'
import { compareIds } from '../stream/stream-id.ts'
import { type DeadLetter, readLetter, type StoredEntry, storedEntries } from './dead-letter.ts'
import type { ResolvedChoice } from './options.ts'

/** One letter with its size in Redis. */
export interface Listed<Data> {
  readonly letter: DeadLetter<Data>
  readonly bytes: number
}

const FIRST_PAGE = 16
const LARGEST_PAGE = 200
/** How many bytes a page should have; the next one follows the largest letter of the last. */
const PAGE_BYTES = 4 * 1024 * 1024
/** How many letters are fetched side by side when they are named by their ids. */
const FETCHED_AT_ONCE = 16

/** Reads the dead letters of one consumer or consumer group. */
export class LetterBox<Data> {
  readonly #core: Core
  readonly #stream: EventStream<never, Data>
  readonly #key: string
  readonly #tag: string

  constructor(core: Core, stream: EventStream<never, Data>, name: string) {
    const keys = core.keysOf(stream)
    this.#core = core
    this.#stream = stream
    this.#key = keys.dead(name)
    this.#tag = keys.tag
  }

  /** The letters with ids after `after` up to `last`, oldest first, page by page. */
  async *from(
    after: string | undefined,
    last: string,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Listed<Data>, void, undefined> {
    let count = FIRST_PAGE
    let start = after === undefined ? '-' : `(${after}`
    for (;;) {
      const page = await this.#range(start, last, count, signal)
      for (const entry of page) yield await this.#read(entry)
      const end = page.at(-1)
      if (end === undefined || page.length < count) return
      start = `(${end[0]}`
      const largest = Math.max(...page.map(([, fields]) => entryBytes(fields)), 1)
      count = Math.min(Math.max(Math.floor(PAGE_BYTES / largest), 1), LARGEST_PAGE)
    }
  }

  /** The letters of these ids as far as they are there, oldest first. */
  async *named(
    ids: readonly string[],
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Listed<Data>, void, undefined> {
    const ordered = [...new Set(ids)].toSorted(compareIds)
    for (let i = 0; i < ordered.length; i += FETCHED_AT_ONCE) {
      const part = ordered.slice(i, i + FETCHED_AT_ONCE)
      const found = await Promise.all(part.map((id) => this.#range(id, id, 1, signal)))
      for (const entry of found.flat()) yield await this.#read(entry)
    }
  }

  /**
   * The chosen letters, oldest first. Letters that come in later are left out: one that fails again
   * must not be met twice in the same run.
   */
  async *chosen(
    choice: ResolvedChoice<Data>,
    onLook: () => void,
  ): AsyncGenerator<Listed<Data>, void, undefined> {
    const { ids, filter, limit, signal } = choice
    const last = ids === undefined ? await this.#lastId(signal) : undefined
    if (ids === undefined && last === undefined) return
    const letters =
      last === undefined ? this.named(ids ?? [], signal) : this.from(undefined, last, signal)
    let matched = 0
    for await (const listed of letters) {
      throwIfAborted(signal, 'The work on dead letters')
      onLook()
      if (filter !== undefined && !(await filter(listed.letter))) continue
      yield listed
      matched++
      if (matched >= limit) return
    }
  }

  async #lastId(signal: AbortSignal | undefined): Promise<string | undefined> {
    const reply = await this.#core.connections.call(
      'data',
      this.#tag,
      (session) => session.client.call('xrevrange', this.#key, '+', '-', 'COUNT', 1),
      { signal },
    )
    return (reply as readonly (readonly [string, unknown])[])[0]?.[0]
  }

  async #range(
    from: string,
    to: string,
    count: number,
    signal: AbortSignal | undefined,
  ): Promise<StoredEntry[]> {
    const reply = await this.#core.connections.call(
      'data',
      this.#tag,
      (session) => session.client.callBuffer('xrange', this.#key, from, to, 'COUNT', count),
      { signal },
    )
    return storedEntries(reply)
  }

  async #read(entry: StoredEntry): Promise<Listed<Data>> {
    const letter = await readLetter(entry, decoderOf(this.#stream), this.#stream.codec.binary)
    return { letter, bytes: entryBytes(entry[1]) }
  }
}
