import { messageOf, MillraceError } from '../errors.ts'
import type { Clock } from '../lifecycle/clock.ts'
import { onAbort, throwIfAborted, withDeadline } from '../lifecycle/signals.ts'
import type { Claimed, Decoded, Settled } from '../stream/event.ts'
import type { BlobStore } from './blob-store.ts'
import { download, isUnusable } from './download.ts'

/** Whoever handles payloads from the store: a consumer, a member or a reader. */
export interface PayloadHolder {
  /** How many payloads it has in hand. */
  holds: number
}

export function payloadHolder(): PayloadHolder {
  return { holds: 0 }
}

/** A payload in hand; it counts against the budget until it is let go of. */
export interface HeldPayload<Data> {
  readonly decoded: Settled<Data>
  readonly release: () => void
}

/** How long a fetch may take where nobody says otherwise. */
const TIMEOUT_MS = 300_000
/** For how long a payload that nobody has in hand is kept for the consumers that are a little behind. */
const LINGER_MS = 1_000

interface Shared {
  readonly bytes: number
  readonly decoded: Promise<Settled<unknown>>
  readonly given: AbortController
  users: number
  /** Whether it is worth keeping. */
  settled: 'no' | 'ok' | 'unusable'
  cancelLinger: (() => void) | undefined
}

/**
 * The payloads from the blob store that one process has in memory. All who handle an event with one
 * definition share one fetch. Together they hold at most the budget; but whoever holds nothing always gets
 * one, so that a payload larger than the budget is handled, and nobody waits for somebody who waits for him.
 */
export class Downloads {
  readonly #store: BlobStore | undefined
  readonly #clock: Clock
  readonly #budgetBytes: number
  readonly #shared = new Map<object, Map<string, Shared>>()
  /** Of everything in {@link #shared}. */
  #bytes = 0
  #waiting = new Set<() => void>()

  constructor(store: BlobStore | undefined, clock: Clock, budgetBytes: number) {
    this.#store = store
    this.#clock = clock
    this.#budgetBytes = budgetBytes
  }

  /** How many bytes of payloads are in memory or on their way. */
  get bytes(): number {
    return this.#bytes
  }

  /**
   * Fetches, verifies and decodes; a payload that is no good is an answer, for the policy of whoever asks.
   * @param timeoutMs how long the fetch may take, not counting the wait for room
   * @throws MillraceError `BLOB_STORE_FAILED`, `ABORTED`
   */
  async take<Data>(
    claimed: Claimed<Data>,
    holder: PayloadHolder,
    signal: AbortSignal,
    timeoutMs: number = TIMEOUT_MS,
  ): Promise<HeldPayload<Data>> {
    const shared = await this.#admit(claimed, holder, signal)
    let released = false
    const release = (): void => {
      if (released) return
      released = true
      holder.holds--
      shared.users--
      if (shared.users === 0) this.#rest(claimed, shared)
      this.#wake()
    }
    try {
      const decoded = await withDeadline(
        this.#clock,
        shared.decoded,
        timeoutMs,
        () => {
          const text = `The blob ${claimed.reference.key} was not there after ${timeoutMs} ms`
          return new MillraceError('BLOB_STORE_FAILED', text)
        },
        signal,
        'Fetching a payload',
      )
      // What is shared under the decoder of this definition is of its type.
      return { decoded: decoded as Settled<Data>, release }
    } catch (error) {
      release()
      throw error
    }
  }

  /**
   * The fetch that is under way, or a new one as soon as there is room for it; the caller counts as its user
   * at once, or it might be given up before he knows of it.
   */
  async #admit(
    claimed: Claimed<unknown>,
    holder: PayloadHolder,
    signal: AbortSignal,
  ): Promise<Shared> {
    for (;;) {
      throwIfAborted(signal, 'Fetching a payload')
      const known = this.#shared.get(claimed.decoder)?.get(keyOf(claimed))
      if (known !== undefined) return use(known, holder)
      const { bytes } = claimed.reference
      this.#makeRoom(bytes)
      if (holder.holds === 0 || this.#bytes + bytes <= this.#budgetBytes)
        return use(this.#begin(claimed), holder)
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#waiting.add(resolve)
      const off = onAbort(signal, resolve)
      await promise
      off()
      this.#waiting.delete(resolve)
    }
  }

  #begin(claimed: Claimed<unknown>): Shared {
    const given = new AbortController()
    const shared: Shared = {
      bytes: claimed.reference.bytes,
      given,
      decoded: this.#fetch(claimed, given.signal),
      users: 0,
      settled: 'no',
      cancelLinger: undefined,
    }
    let byKey = this.#shared.get(claimed.decoder)
    if (byKey === undefined) this.#shared.set(claimed.decoder, (byKey = new Map()))
    byKey.set(keyOf(claimed), shared)
    this.#bytes += shared.bytes
    shared.decoded.then(
      ({ ok }) => {
        shared.settled = ok ? 'ok' : 'unusable'
        // The next attempt asks the store again: somebody may have mended it.
        if (!ok) this.#forget(claimed, shared)
      },
      () => {
        this.#forget(claimed, shared)
      },
    )
    return shared
  }

  async #fetch(claimed: Claimed<unknown>, signal: AbortSignal): Promise<Settled<unknown>> {
    const { reference, id, bytes } = claimed
    try {
      if (this.#store === undefined) {
        throw new MillraceError(
          'BLOB_STORE_ABSENT',
          `The payload of event ${id} is the blob ${reference.key}, and this connection has no blob store`,
        )
      }
      const content = await download(this.#store, reference, signal)
      return await claimed.complete(content)
    } catch (error) {
      if (!isUnusable(error)) throw error
      return {
        ok: false,
        id,
        bytes,
        error: error instanceof Error ? error : new Error(messageOf(error)),
      }
    }
  }

  /** Nobody has it in hand any more. */
  #rest(claimed: Claimed<unknown>, shared: Shared): void {
    if (shared.settled === 'no') shared.given.abort()
    if (shared.settled !== 'ok') {
      this.#forget(claimed, shared)
      return
    }
    shared.cancelLinger = this.#clock.after(LINGER_MS, () => {
      this.#forget(claimed, shared)
    })
  }

  /** Lets go of what nobody has in hand, the oldest first, until there is room. */
  #makeRoom(bytes: number): void {
    for (const byKey of this.#shared.values()) {
      for (const [key, shared] of byKey) {
        if (this.#bytes + bytes <= this.#budgetBytes) return
        if (shared.cancelLinger !== undefined) this.#drop(byKey, key, shared)
      }
    }
  }

  #forget(claimed: Claimed<unknown>, shared: Shared): void {
    const byKey = this.#shared.get(claimed.decoder)
    if (byKey?.get(keyOf(claimed)) !== shared) return
    this.#drop(byKey, keyOf(claimed), shared)
    if (byKey.size === 0) this.#shared.delete(claimed.decoder)
    this.#wake()
  }

  #drop(byKey: Map<string, Shared>, key: string, shared: Shared): void {
    shared.cancelLinger?.()
    shared.cancelLinger = undefined
    byKey.delete(key)
    this.#bytes -= shared.bytes
  }

  #wake(): void {
    const waiting = [...this.#waiting]
    this.#waiting = new Set()
    for (const resume of waiting) resume()
  }

  /** Lets go of everything that nobody has in hand; without it timers would outlive the connection. */
  close(): void {
    for (const byKey of this.#shared.values())
      for (const [key, shared] of byKey)
        if (shared.cancelLinger !== undefined) this.#drop(byKey, key, shared)
    this.#shared.clear()
  }
}

function use(shared: Shared, holder: PayloadHolder): Shared {
  holder.holds++
  shared.users++
  shared.cancelLinger?.()
  shared.cancelLinger = undefined
  return shared
}

function keyOf({ id, reference }: Claimed<unknown>): string {
  return `${id} ${reference.key} ${reference.sha256}`
}

/** Whether an entry's payload has still to be fetched. */
export function isClaimed<Data>(decoded: Decoded<Data>): decoded is Claimed<Data> {
  return decoded.ok === 'claimed'
}
