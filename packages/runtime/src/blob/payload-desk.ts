import type { Claimed, Decoded, Settled } from '../stream/event.ts'
import { type Downloads, isClaimed, payloadHolder } from './downloads.ts'

/**
 * The payloads from the blob store that one consumer or member has in hand, each from the fetch until the
 * handler has settled. `Work` is what it belongs to: an entry, or a held event.
 */
export class PayloadDesk<Data, Work extends object> {
  readonly #downloads: Downloads
  readonly #timeoutMs: number
  readonly #holder = payloadHolder()
  readonly #inHand = new Map<Work, { started: boolean; readonly release: () => void }>()
  #given = new AbortController()

  /** @param timeoutMs how long a fetch may take */
  constructor(downloads: Downloads, timeoutMs: number) {
    this.#downloads = downloads
    this.#timeoutMs = timeoutMs
  }

  /** What was decoded, with the payload fetched where it lies elsewhere; the source's signal is asked for where it is needed. */
  settle(
    work: Work,
    decoded: Decoded<Data> | Promise<Decoded<Data>>,
    source: { readonly signal: AbortSignal },
  ): Promise<Settled<Data>> | Settled<Data> {
    if (decoded instanceof Promise) return decoded.then((one) => this.settle(work, one, source))
    return isClaimed(decoded) ? this.fetch(work, decoded, source.signal) : decoded
  }

  /** @throws MillraceError `BLOB_STORE_FAILED`; `ABORTED` after {@link abort} or when the signal fires */
  async fetch(work: Work, claimed: Claimed<Data>, signal?: AbortSignal): Promise<Settled<Data>> {
    const given = this.#given.signal
    const either = signal === undefined ? given : AbortSignal.any([given, signal])
    const held = await this.#downloads.take(claimed, this.#holder, either, this.#timeoutMs)
    if (held.decoded.ok) this.#inHand.set(work, { started: false, release: held.release })
    else held.release()
    return held.decoded
  }

  /** Its handler runs, and has the payload until it settles, whatever becomes of this desk. */
  started(work: Work): void {
    const held = this.#inHand.get(work)
    if (held !== undefined) held.started = true
  }

  settled(work: Work): void {
    if (this.#inHand.size === 0) return
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
