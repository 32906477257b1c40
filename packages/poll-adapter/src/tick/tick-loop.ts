import { PollAdapterError } from '../errors.ts'
import { systemClock } from '../lifecycle/clock.ts'
import { onAbort } from '../lifecycle/signals.ts'
import { migratedPoller } from './migrated.ts'
import { resolveTickLoopOptions, type TickLoopOptions } from './options.ts'
import { Polling } from './polling.ts'

/**
 * A poller in place of a timer, a fetch and a loop over what it brought; `start()` sets it to work. Without
 * a migration it needs no Redis and does what was done before; with one it can be moved to an event
 * stream, with the same fetch and the same handler.
 * @throws PollAdapterError `OPTIONS_INVALID`, listing all problems
 */
export function tickLoop<Item, Data = Item>(options: TickLoopOptions<Item, Data>): TickLoop {
  const resolved = resolveTickLoopOptions(options)
  const engine =
    options.migration === undefined
      ? new Polling(resolved, systemClock)
      : migratedPoller(resolved, options.migration)
  return new TickLoop(resolved.name, engine, resolved.signal)
}

/** What does the work: it polls, or it is the poller of a migration. */
interface Engine {
  start(): unknown
  poke(): void
  close(options: { readonly deadlineMs: number }): Promise<void>
}

const DEFAULT_DEADLINE_MS = 10_000

/** States: idle → running → closed; from idle straight to closed. Use {@link tickLoop}. */
export class TickLoop implements AsyncDisposable {
  readonly name: string
  readonly #engine: Engine
  readonly #closed = Promise.withResolvers<void>()
  #offSignal: () => void = () => undefined
  #closes: Promise<void> | undefined

  /** @internal */
  constructor(name: string, engine: Engine, signal: AbortSignal | undefined) {
    this.name = name
    this.#engine = engine
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
    this.#engine.start()
    return this
  }

  /** Asks now instead of at the next tick, for whoever knows that there is something. */
  poke(): void {
    this.#engine.poke()
  }

  /**
   * Asks no more, and waits for the handler that runs; at the deadline its signal fires, and it is waited for
   * no longer where that is possible. Idempotent.
   */
  close(options: { readonly deadlineMs?: number } = {}): Promise<void> {
    this.#closes ??= this.#close(options.deadlineMs ?? DEFAULT_DEADLINE_MS)
    return this.#closes
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(deadlineMs: number): Promise<void> {
    this.#offSignal()
    await this.#engine.close({ deadlineMs })
    this.#closed.resolve()
  }
}
