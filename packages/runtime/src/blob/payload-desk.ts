import { MillraceError } from '../errors.ts'
import type { Clock } from '../lifecycle/clock.ts'
import { onAbort } from '../lifecycle/signals.ts'
import type { Claimed, Settled } from '../stream/event.ts'
import { type Downloads, payloadHolder } from './downloads.ts'

/**
 * The payloads from the blob store that one consumer or member has in hand, each from the fetch until the
 * handler has settled. `Work` is what it belongs to: an entry, or a held event.
 */
export class PayloadDesk<Data, Work extends object> {
  readonly #downloads: Downloads
  readonly #clock: Clock
  readonly #timeoutMs: number
  readonly #holder = payloadHolder()
  readonly #inHand = new Map<Work, { started: boolean; readonly release: () => void }>()
  #given = new AbortController()

  /** @param timeoutMs how long a fetch may take */
  constructor(downloads: Downloads, clock: Clock, timeoutMs: number) {
    this.#downloads = downloads
    this.#clock = clock
    this.#timeoutMs = timeoutMs
  }

  /** @throws MillraceError `BLOB_STORE_FAILED`; `ABORTED` after {@link abort} or when the signal fires */
  async fetch(work: Work, claimed: Claimed<Data>, signal?: AbortSignal): Promise<Settled<Data>> {
    const stop = new AbortController()
    const given = this.#given.signal
    const giveUp = (): void => {
      stop.abort(given.reason)
    }
    const offs = [onAbort(given, giveUp), onAbort(signal, giveUp)]
    let late = false
    const cancel = this.#clock.after(this.#timeoutMs, () => {
      late = true
      stop.abort()
    })
    try {
      const held = await this.#downloads.take(claimed, this.#holder, stop.signal)
      if (held.decoded.ok) this.#inHand.set(work, { started: false, release: held.release })
      else held.release()
      return held.decoded
    } catch (error) {
      if (!late) throw error
      throw new MillraceError(
        'BLOB_STORE_FAILED',
        `The blob ${claimed.reference.key} was not there after ${this.#timeoutMs} ms`,
        { cause: error },
      )
    } finally {
      cancel()
      for (const off of offs) off()
    }
  }

  /** Its handler runs, and has the payload until it settles, whatever becomes of this desk. */
  started(work: Work): void {
    const held = this.#inHand.get(work)
    if (held !== undefined) held.started = true
  }

  settled(work: Work): void {
    this.#inHand.get(work)?.release()
    this.#inHand.delete(work)
  }

  /** Gives up all fetches under way. */
  abort(): void {
    this.#given.abort()
    this.#given = new AbortController()
  }

  /** Gives up fetches, and lets go of what no handler has. */
  close(): void {
    this.#given.abort()
    for (const [work, { started }] of this.#inHand) if (!started) this.settled(work)
  }
}
