import { payloadHolder } from '../blob/downloads.ts'
import type { Core } from '../core.ts'
import { messageOf } from '../errors.ts'
import { throwIfAborted } from '../lifecycle/signals.ts'
import { decoderOf } from '../stream/decode.ts'
import type { Claimed, Settled } from '../stream/event.ts'
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
    fetches = true,
  ): AsyncGenerator<Listed<Data>, void, undefined> {
    let count = FIRST_PAGE
    let start = after === undefined ? '-' : `(${after}`
    for (;;) {
      const page = await this.#range(start, last, count, signal)
      for (const entry of page) yield await this.#read(entry, fetches, signal)
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
    fetches = true,
  ): AsyncGenerator<Listed<Data>, void, undefined> {
    const ordered = [...new Set(ids)].toSorted(compareIds)
    for (let i = 0; i < ordered.length; i += FETCHED_AT_ONCE) {
      const part = ordered.slice(i, i + FETCHED_AT_ONCE)
      const found = await Promise.all(part.map((id) => this.#range(id, id, 1, signal)))
      for (const entry of found.flat()) yield await this.#read(entry, fetches, signal)
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
    // Only a filter looks at payloads; without one none is fetched from a blob store.
    const fetches = filter !== undefined
    const letters =
      last === undefined
        ? this.named(ids ?? [], signal, fetches)
        : this.from(undefined, last, signal, fetches)
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

  async #read(entry: StoredEntry, fetches: boolean, signal?: AbortSignal): Promise<Listed<Data>> {
    const { binary } = this.#stream.codec
    const letter = await readLetter(entry, decoderOf(this.#stream), binary, (claimed) =>
      fetches ? this.#fetch(claimed, signal) : Promise.resolve(notFetched(claimed)),
    )
    return { letter, bytes: entryBytes(entry[1]) }
  }

  /** Like a letter that cannot be decoded when the store has no good answer. */
  async #fetch(
    claimed: Claimed<Data>,
    signal: AbortSignal = new AbortController().signal,
  ): Promise<Settled<Data>> {
    try {
      const held = await this.#core.downloads.take(claimed, payloadHolder(), signal)
      held.release()
      return held.decoded
    } catch (error) {
      throwIfAborted(signal, 'The work on dead letters')
      const failure = error instanceof Error ? error : new Error(messageOf(error))
      return { ok: false, id: claimed.id, bytes: claimed.bytes, error: failure }
    }
  }
}

function notFetched({ id, bytes }: Claimed<unknown>): Settled<never> {
  return { ok: false, id, bytes, error: new Error('the payload was not fetched') }
}
