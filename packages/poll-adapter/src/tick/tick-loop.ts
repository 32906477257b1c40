import { PollAdapterError } from '../errors.ts'
import { type Clock, systemClock } from '../lifecycle/clock.ts'
import { onAbort, pause } from '../lifecycle/signals.ts'
import { resolveTickLoopOptions, type TickLoopOptions } from './options.ts'
import { Polling } from './polling.ts'

/**
 * A poller in place of a timer, a fetch and a loop over what it brought; `start()` sets it to work. It
 * needs no Redis: it is the step before a migration, and does what was done before.
 * @throws PollAdapterError `OPTIONS_INVALID`, listing all problems
 */
export function tickLoop<Item>(options: TickLoopOptions<Item>): TickLoop {
  const resolved = resolveTickLoopOptions(options)
  return new TickLoop(
    resolved.name,
    new Polling(resolved, systemClock),
    systemClock,
    resolved.signal,
  )
}

const DEFAULT_DEADLINE_MS = 10_000

/** States: idle → running → closed; from idle straight to closed. Use {@link tickLoop}. */
export class TickLoop implements AsyncDisposable {
  readonly name: string
  readonly #polling: Pick<Polling<never>, 'poke' | 'run'>
  readonly #clock: Clock
  readonly #closing = new AbortController()
  readonly #closed = Promise.withResolvers<void>()
  #offSignal: () => void = () => undefined
  #running: Promise<void> | undefined
  #closes: Promise<void> | undefined

  /** @internal */
  constructor(
    name: string,
    polling: Pick<Polling<never>, 'poke' | 'run'>,
    clock: Clock,
    signal: AbortSignal | undefined,
  ) {
    this.name = name
    this.#polling = polling
    this.#clock = clock
    this.#offSignal = onAbort(signal, () => void this.close())
  }

  /** Resolves when nothing of it runs any more. */
  get closed(): Promise<void> {
    return this.#closed.promise
  }

  /**
   * The first tick is at once, the others at their times. Idempotent.
   * @throws PollAdapterError `CLOSED`
   */
  start(): this {
    if (this.#closes !== undefined) {
      throw new PollAdapterError('CLOSED', `The tick loop ${this.name} was closed`, {
        name: this.name,
      })
    }
    this.#running ??= this.#polling.run(this.#closing.signal)
    return this
  }

  /** Asks now instead of at the next tick, for whoever knows that there is something. */
  poke(): void {
    this.#polling.poke()
  }

  /** Asks no more, and waits for the handler that runs, at most until the deadline. Idempotent. */
  close(options: { readonly deadlineMs?: number } = {}): Promise<void> {
    this.#closes ??= this.#close(options.deadlineMs ?? DEFAULT_DEADLINE_MS)
    return this.#closes
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(deadlineMs: number): Promise<void> {
    this.#offSignal()
    this.#closing.abort()
    const over = new AbortController()
    await Promise.race([this.#running, pause(this.#clock, deadlineMs, over.signal)])
    over.abort()
    this.#closed.resolve()
  }
}
