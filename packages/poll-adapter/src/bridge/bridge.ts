import type { EventStream, Extension, HeldLease, Millrace } from '@millrace/runtime'
import { PollAdapterError } from '../errors.ts'
import { type Clock, systemClock } from '../lifecycle/clock.ts'
import { onAbort } from '../lifecycle/signals.ts'
import { type BridgeKeys, bridgeKeys, knownItems, type Ledger, lookAtBridge } from './ledger.ts'
import { type BridgeOptions, type ResolvedBridgeOptions, resolveBridgeOptions } from './options.ts'
import { BridgeTurn } from './turn.ts'

/**
 * Makes a bridge; `start()` sets it to work.
 * @throws PollAdapterError `OPTIONS_INVALID`
 */
export function createBridge<Item, Input = Item>(
  millrace: Millrace,
  stream: EventStream<Input, unknown>,
  options: BridgeOptions<Item, Input>,
): Bridge<Item, Input> {
  return new Bridge(millrace, stream, options)
}

/**
 * Polls an old source from one elected process, finds what is new or changed, and puts each change into
 * the stream exactly once, whatever process dies or is cut off at whatever moment.
 *
 * States: idle → running → closed. `SPEC.md` has the invariants.
 */
export class Bridge<Item, Input = Item> {
  readonly name: string
  readonly #options: ResolvedBridgeOptions<Item, Input>
  readonly #stream: EventStream<Input, unknown>
  readonly #extension: Extension<Input>
  readonly #keys: BridgeKeys
  readonly #clock: Clock
  readonly #closing = new AbortController()
  readonly #closed = Promise.withResolvers<void>()
  #offSignal: () => void = () => undefined
  #election: Promise<void> | undefined
  #closes: Promise<void> | undefined
  #polling = false

  /** @throws PollAdapterError `OPTIONS_INVALID` */
  constructor(
    millrace: Millrace,
    stream: EventStream<Input, unknown>,
    options: BridgeOptions<Item, Input>,
    clock: Clock = systemClock,
  ) {
    this.#options = resolveBridgeOptions(options)
    this.name = options.name
    this.#stream = stream
    this.#clock = clock
    this.#keys = bridgeKeys(options.name)
    this.#extension = millrace.extension(stream, 'poll')
    this.#offSignal = onAbort(options.signal, () => void this.close())
  }

  /** Whether this process is the one that polls. */
  get polling(): boolean {
    return this.#polling
  }

  /** Resolves when the bridge is closed. */
  get closed(): Promise<void> {
    return this.#closed.promise
  }

  /**
   * Stands for election, and polls when elected. Idempotent.
   * @throws PollAdapterError `CLOSED`
   */
  start(): this {
    if (this.#closes !== undefined) {
      throw new PollAdapterError('CLOSED', `The bridge ${this.name} was closed`, {
        name: this.name,
      })
    }
    const { leaseMs } = this.#options
    this.#election ??= this.#extension.elect(
      this.#keys.lease,
      { leaseMs, signal: this.#closing.signal },
      (held) => this.#serve(held),
    )
    // Millrace itself was closed: there is nothing to be done about it here.
    this.#election.catch(() => undefined)
    return this
  }

  /** Where the bridge is, whichever process polls. */
  look(signal?: AbortSignal): Promise<Ledger> {
    return lookAtBridge(this.#extension, this.#keys, signal)
  }

  /** Ends polling after the step that is under way, and gives the lease back. Idempotent. */
  close(): Promise<void> {
    this.#closes ??= this.#close()
    return this.#closes
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    this.#offSignal()
    this.#closing.abort()
    await this.#election?.catch(() => undefined)
    await this.#extension.close()
    this.#closed.resolve()
  }

  async #serve(held: HeldLease): Promise<void> {
    const turn = new BridgeTurn({
      options: this.#options,
      extension: this.#extension,
      keys: this.#keys,
      stream: this.#stream.name,
      hasOwnKeys: this.#stream.key !== undefined,
      held,
      ledger: await this.look(held.signal),
      known: await knownItems(this.#extension, this.#keys.items, held.signal),
      clock: this.#clock,
    })
    this.#polling = true
    try {
      await turn.run()
    } finally {
      this.#polling = false
    }
  }
}
