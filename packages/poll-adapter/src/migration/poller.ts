import type { EventStream, HeldLease, Millrace } from '@millrace/runtime'
import { PollAdapterError } from '../errors.ts'
import { type Clock, systemClock } from '../lifecycle/clock.ts'
import { onAbort, pause } from '../lifecycle/signals.ts'
import { forgetConsumer, handOver } from './handover.ts'
import { unhealthyReason } from './health.ts'
import { pollMode } from './poll-mode.ts'
import {
  type PollerOptions,
  type ResolvedPollerOptions,
  resolvePollerOptions,
} from './poller-options.ts'
import { migrationKeys } from './record.ts'
import { type PollerScope, Seat } from './seat.ts'
import { shadowMode } from './shadow-mode.ts'
import { type MigrationMode, mustHandOver } from './state.ts'
import { streamMode } from './stream-mode.ts'

export interface PollerCloseOptions {
  /** How long the handler that runs may take, in milliseconds, before its signal fires. @defaultValue 10_000 */
  readonly deadlineMs?: number
}

const CLOSE_DEADLINE_MS = 10_000
/** A switch that had to wait is tried again after so long, at the earliest. */
const TRY_AGAIN_MS = 1_000

/**
 * Makes a poller that can be migrated; `start()` sets it to work.
 * @throws PollAdapterError `OPTIONS_INVALID`, listing all problems
 */
export function createPoller<Item, Data = Item>(
  millrace: Millrace,
  stream: EventStream<never, Data>,
  options: PollerOptions<Item, Data>,
): Poller<Item, Data> {
  return new Poller(millrace, stream, options)
}

/**
 * A poller whose handler is fed by polling or by a stream, as its migration says, and moves between them
 * while it runs. Of all processes that run it one acts at a time; the others stand by.
 *
 * States: idle → running → closed. `SPEC.md` in this folder has the states of the migration.
 */
export class Poller<Item, Data = Item> {
  readonly name: string
  readonly #options: ResolvedPollerOptions<Item, Data>
  readonly #scope: PollerScope<Item, Data>
  readonly #clock: Clock
  readonly #closing = new AbortController()
  readonly #hurry = new AbortController()
  readonly #closed = Promise.withResolvers<void>()
  #wake = new AbortController()
  #offSignal: () => void = () => undefined
  #election: Promise<void> | undefined
  #closes: Promise<void> | undefined
  #mode: MigrationMode | undefined
  #tryAgainMs = TRY_AGAIN_MS

  /** Use {@link createPoller}. @internal */
  constructor(
    millrace: Millrace,
    stream: EventStream<never, Data>,
    options: PollerOptions<Item, Data>,
    clock: Clock = systemClock,
  ) {
    this.#options = resolvePollerOptions(options)
    this.name = options.name
    this.#clock = clock
    const extension = millrace.extension<never>(stream, 'poll')
    const hurry = this.#hurry.signal
    this.#scope = { options: this.#options, millrace, stream, extension, clock, hurry }
    this.#offSignal = onAbort(options.signal, () => void this.close())
  }

  /** In which mode this process acts; undefined while another one does, or none. */
  get acting(): MigrationMode | undefined {
    return this.#mode
  }

  /** Resolves when the poller is closed. */
  get closed(): Promise<void> {
    return this.#closed.promise
  }

  /**
   * Stands for election, and acts when elected. Idempotent.
   * @throws PollAdapterError `CLOSED`
   */
  start(): this {
    if (this.#closes !== undefined) {
      throw new PollAdapterError('CLOSED', `The poller ${this.name} was closed`, {
        name: this.name,
      })
    }
    this.#election ??= this.#scope.extension.elect(
      migrationKeys(this.name).lease,
      { leaseMs: this.#options.leaseMs, signal: this.#closing.signal },
      (held) => this.#serve(held),
    )
    // Millrace itself was closed: there is nothing to be done about it here.
    this.#election.catch(() => undefined)
    return this
  }

  /** Polls now instead of after the interval, if this process polls. */
  poke(): void {
    this.#wake.abort()
    this.#wake = new AbortController()
  }

  /** Starts nothing more, waits for the handler that runs, and gives the lease back. Idempotent. */
  close(options: PollerCloseOptions = {}): Promise<void> {
    this.#closes ??= this.#close(options.deadlineMs ?? CLOSE_DEADLINE_MS)
    return this.#closes
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(deadlineMs: number): Promise<void> {
    this.#offSignal()
    this.#closing.abort()
    const cancel = this.#clock.after(deadlineMs, () => {
      this.#hurry.abort()
    })
    await this.#election?.catch(() => undefined)
    cancel()
    await this.#scope.extension.close()
    this.#closed.resolve()
  }

  /** Acts until the lease is over: in one mode, then in the next. */
  async #serve(held: HeldLease): Promise<void> {
    const seat = await Seat.take(this.#scope, held)
    while (!held.signal.aborted) {
      const { record } = await seat.look(held.signal)
      if (mustHandOver(record)) {
        const begunMs = this.#clock.monotonicMs()
        const reason = await handOver(seat, held.signal)
        // Nothing acts while a switch is tried, so what takes long is tried more rarely.
        const tookMs = this.#clock.monotonicMs() - begunMs
        this.#tryAgainMs = Math.max(TRY_AGAIN_MS, tookMs / 2)
        const now = (await seat.look(held.signal)).record
        // Switched again meanwhile: neither the reason nor the pause counts any more.
        if (now.epoch !== record.epoch) continue
        if (reason !== now.waiting) await seat.note({ waiting: reason })
        await seat.look(held.signal)
      }
      await this.#act(seat, held)
      if (seat.hasFailed) throw new Error('the position could not be stored')
    }
  }

  /** Acts in one mode until something else is wanted. */
  async #act(seat: Seat<Item, Data>, held: HeldLease): Promise<void> {
    const over = new AbortController()
    const off = onAbort(held.signal, () => {
      over.abort()
    })
    const { mode } = seat.stored.record.acting
    this.#mode = mode
    const watching = this.#watch(seat, over)
    try {
      switch (mode) {
        case 'poll':
          await pollMode(seat, over.signal, () => this.#wake.signal)
          return
        case 'shadow':
          await shadowMode(seat, over.signal, () => this.#wake.signal)
          return
        case 'stream':
          await streamMode(seat, over.signal)
          return
        default:
          mode satisfies never
      }
    } finally {
      this.#mode = undefined
      off()
      over.abort()
      await watching
    }
  }

  /** Ends the mode when something else is wanted. */
  async #watch(seat: Seat<Item, Data>, over: AbortController): Promise<void> {
    const { lookEveryMs } = this.#options
    const wasWaiting = mustHandOver(seat.stored.record)
    const begunMs = this.#clock.monotonicMs()
    let wellSinceMs: number | undefined
    while (!over.signal.aborted) {
      await pause(this.#clock, lookEveryMs, over.signal)
      if (over.signal.aborted) return
      try {
        const before = seat.stored.record.epoch
        const { record } = await seat.look(over.signal)
        if (record.acting.mode !== 'stream') await forgetConsumer(seat, over.signal)
        const nowMs = this.#clock.monotonicMs()
        const isDue = !wasWaiting || record.epoch !== before || nowMs - begunMs >= this.#tryAgainMs
        if (mustHandOver(record) && isDue) {
          over.abort()
          return
        }
        if (record.fallback === '' || record.acting.mode !== 'poll') continue
        wellSinceMs = (await this.#isWell(seat, over.signal)) ? (wellSinceMs ?? nowMs) : undefined
        const isLong =
          wellSinceMs !== undefined && nowMs - wellSinceMs >= this.#options.healthyAfterMs
        if (isLong) await seat.setFallback('', over.signal)
      } catch (error) {
        if (over.signal.aborted) return
        seat.report(error)
      }
    }
  }

  async #isWell(seat: Seat<Item, Data>, signal: AbortSignal): Promise<boolean> {
    const { silentMs } = await seat.bridge(signal)
    const signs = { bridgeSilentMs: silentMs, consumerIdleMs: 0, stopped: '', broken: '' }
    return unhealthyReason(signs, this.#options.unhealthyAfterMs) === ''
  }
}
