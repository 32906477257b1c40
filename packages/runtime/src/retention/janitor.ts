import { collectBlobs } from '../blob/collect.ts'
import type { Core, StreamLike } from '../core.ts'
import { channels } from '../diagnostics.ts'
import { isMillraceError, messageOf } from '../errors.ts'
import { inBackground } from '../instrumentation/instrumentation.ts'
import { pause } from '../lifecycle/signals.ts'
import type { StreamKeys } from '../stream/keys.ts'
import { type Abandoned, sweep, type SweepAnswer } from './sweep.ts'
import { removeReader } from './remove.ts'

/** While events leave unread the stream is at its limits, and is looked at more often by so much. */
const PRESSED_FASTER = 10

/** A stream that somebody here has open. */
interface Held {
  readonly stream: StreamLike
  readonly decides: boolean
}

/**
 * Sweeps every stream that this process publishes to or consumes. Which process does it does not matter:
 * the script lets one sweep through in each period, and two at once would do no harm, because a sweep is
 * one atomic step that decides by nothing but what it finds.
 */
export class Janitor {
  readonly #core: Core
  readonly #rounds = new Map<string, Round>()

  constructor(core: Core) {
    this.#core = core
  }

  /**
   * Sweeps the stream until the answer is called.
   *
   * @param decides whether this definition's retention is the stream's, because its events come from here
   */
  hold(stream: StreamLike, decides: boolean): () => void {
    const keys = this.#core.keysOf(stream)
    let round = this.#rounds.get(keys.stream)
    if (round === undefined) this.#rounds.set(keys.stream, (round = new Round(this.#core, keys)))
    const held: Held = { stream, decides }
    round.held.add(held)
    return () => {
      round.held.delete(held)
      if (round.held.size > 0 || this.#rounds.get(keys.stream) !== round) return
      this.#rounds.delete(keys.stream)
      round.end()
    }
  }

  close(): void {
    for (const round of this.#rounds.values()) round.end()
    this.#rounds.clear()
  }
}

/** The sweeping of one stream. */
class Round {
  readonly held = new Set<Held>()
  readonly #core: Core
  readonly #keys: StreamKeys
  readonly #ended = new AbortController()
  /** Who was reported and has not been active since. */
  #reported = new Set<string>()
  /** Who was to be removed and could not be; that is told once. */
  #unremovable = new Set<string>()
  #collecting = false

  constructor(core: Core, keys: StreamKeys) {
    this.#core = core
    this.#keys = keys
    void inBackground(core.options.instrumentation, () => this.#run())
  }

  end(): void {
    this.#ended.abort()
  }

  async #run(): Promise<void> {
    const { signal } = this.#ended
    const periodMs = this.#core.options.sweepEveryMs
    // Processes that start together must not all come at once.
    let waitMs = periodMs * Math.random()
    let pressed = false
    while (!signal.aborted) {
      await pause(this.#core.clock, waitMs, signal)
      if (signal.aborted) return
      try {
        const dueMs = pressed ? periodMs / PRESSED_FASTER : periodMs
        const { inMs, unread } = await this.#sweep(Math.round(dueMs), signal)
        pressed = unread
        waitMs =
          (inMs ?? (pressed ? periodMs / PRESSED_FASTER : periodMs)) * (1 + Math.random() / 10)
      } catch (error) {
        if (signal.aborted || this.#core.connections.closed.aborted) return
        this.#report(error)
        // Others have the right, or nobody; asking again only fills logs.
        if (isMillraceError(error, 'PERMISSION_DENIED')) return
        pressed = false
        waitMs = periodMs
      }
    }
  }

  /** One whole sweep, part by part, with room for others in between. */
  async #sweep(
    periodMs: number,
    signal: AbortSignal,
  ): Promise<{ readonly inMs: number | undefined; readonly unread: boolean }> {
    let removed = 0
    let pastFloor = 0
    for (let continues = false; ; continues = true) {
      const answer = await this.#part(periodMs, continues, signal)
      if (answer.outcome === 'none') return { inMs: undefined, unread: false }
      if (answer.outcome === 'later') return { inMs: answer.inMs, unread: false }
      removed += answer.removed
      pastFloor += answer.pastFloor
      if (answer.more && !signal.aborted) continue
      const { name: stream } = this.#newest().stream
      channels.swept.publish({ stream, removed, unread: pastFloor, floor: answer.floor })
      void this.#collectBlobs(signal)
      await this.#attend(answer.abandoned)
      return { inMs: undefined, unread: pastFloor > 0 }
    }
  }

  /** Beside the sweeping, because a store may take its time. */
  async #collectBlobs(signal: AbortSignal): Promise<void> {
    if (this.#collecting) return
    this.#collecting = true
    try {
      const collected = await collectBlobs(this.#core, this.#keys, { signal })
      if (collected === undefined || signal.aborted) return
      channels.blobsCollected.publish({ stream: this.#newest().stream.name, ...collected })
    } catch (error) {
      if (!signal.aborted && !this.#core.connections.closed.aborted) this.#report(error, 'blobs')
    } finally {
      this.#collecting = false
    }
  }

  #part(periodMs: number, continues: boolean, signal: AbortSignal): Promise<SweepAnswer> {
    const { stream, decides } = this.#newest()
    return this.#core.connections.call(
      'data',
      this.#keys.tag,
      (session) =>
        sweep(session, this.#keys, { retention: stream.retention, decides, periodMs, continues }),
      { signal },
    )
  }

  /** Reports who is abandoned, once, and removes them if the owner asked for that. */
  async #attend(abandoned: readonly Abandoned[]): Promise<void> {
    const { stream } = this.#newest()
    const names = new Set(abandoned.map(({ name }) => name))
    this.#reported = new Set([...this.#reported].filter((name) => names.has(name)))
    this.#unremovable = new Set([...this.#unremovable].filter((name) => names.has(name)))
    for (const one of abandoned) {
      const { name, kind, activeMs } = one
      if (!this.#reported.has(name)) {
        this.#reported.add(name)
        channels.abandoned.publish({ stream: stream.name, name, kind, activeMs })
      }
      if (stream.retention.abandoned === 'remove') await this.#remove(stream, one)
    }
  }

  /** What cannot be removed now is met again by the next sweep, and keeps nobody else from being removed. */
  async #remove(stream: StreamLike, { name, kind, activeMs }: Abandoned): Promise<void> {
    if (kind === 'foreign') return
    const { signal } = this.#ended
    try {
      await removeReader(this.#core, stream, name, kind, { signal }, activeMs)
    } catch (error) {
      if (signal.aborted) throw error
      // Somebody is at work under the name again.
      if (isMillraceError(error, 'NAME_IN_USE') || this.#unremovable.has(name)) return
      this.#unremovable.add(name)
      this.#report(error)
    }
  }

  /** The definition that counts: one that decides, and of several the one that was opened last. */
  #newest(): Held {
    const all = [...this.held]
    const held = all.findLast(({ decides }) => decides) ?? all.at(-1)
    if (held !== undefined) this.#last = held
    // The last one may have been closed while a sweep was on its way.
    if (this.#last === undefined) throw new Error('A stream is swept that nobody holds')
    return this.#last
  }

  #last: Held | undefined

  #report(error: unknown, loop = 'janitor'): void {
    channels.loopFailed.publish({
      loop,
      stream: this.#newest().stream.name,
      name: '',
      error: error instanceof Error ? error : new Error(messageOf(error)),
    })
  }
}
