import type { EventStream, Extension, HeldLease, Millrace } from '@millrace/runtime'
import { knownItems, type Ledger, lookAtBridge, bridgeKeys } from '../bridge/ledger.ts'
import type { Change } from '../change/change.ts'
import { type Cursor, parseCursor } from '../change/cursor.ts'
import { SourcePosition } from '../change/position.ts'
import { pollChannels } from '../diagnostics.ts'
import { messageOf, PollAdapterError } from '../errors.ts'
import type { Clock } from '../lifecycle/clock.ts'
import { abortable } from '../lifecycle/signals.ts'
import { isOver, type LifeSighting, sight } from '../bridge/life.ts'
import { type ResolvedPollerOptions, viaOf } from './poller-options.ts'
import {
  lookAtMigration,
  type MigrationKeys,
  migrationKeys,
  type StoredMigration,
  storeSwitch,
} from './record.ts'

/** What a poller of this process needs, whether it acts or not. */
export interface PollerScope<Item, Data> {
  readonly options: ResolvedPollerOptions<Item, Data>
  readonly millrace: Millrace
  readonly stream: EventStream<never, Data>
  readonly extension: Extension<never>
  readonly clock: Clock
  /** Fires when the handler that runs has to give up: closing takes too long. */
  readonly hurry: AbortSignal
}

/**
 * The one process's hold on a poller: its lease, its position, and the steps in which both are stored. All
 * that is stored goes through {@link note}, which only the holder of the lease can do; whatever fails there
 * ends the hold, and the next one begins with what stands in Redis.
 */
export class Seat<Item, Data> {
  readonly scope: PollerScope<Item, Data>
  readonly held: HeldLease
  readonly position: SourcePosition
  /**
   * Whether the position counts all that the stream has brought up to now: set by whoever enters the stream or catches
   * up with it. An earlier holder may have handled what it could not store any more.
   */
  isCaughtUp = false
  readonly #keys: MigrationKeys
  #stored: StoredMigration
  /** Steps are taken one after the other. */
  #tail: Promise<void> = Promise.resolve()
  readonly #handlerSignal: AbortSignal
  #hasFailed = false
  #bridgeSeen: LifeSighting | undefined
  #bridgeIsOver = false

  private constructor(
    scope: PollerScope<Item, Data>,
    held: HeldLease,
    stored: StoredMigration,
    cursor: Cursor | undefined,
    known: ReadonlyMap<string, string>,
  ) {
    this.scope = scope
    this.held = held
    this.#stored = stored
    this.#keys = migrationKeys(scope.options.name)
    this.position = new SourcePosition(scope.options.source.cursors, cursor, known)
    this.#handlerSignal = AbortSignal.any([held.signal, scope.hurry])
  }

  /** Begins with what stands in Redis. */
  static async take<Item, Data>(
    scope: PollerScope<Item, Data>,
    held: HeldLease,
  ): Promise<Seat<Item, Data>> {
    const { extension, options } = scope
    const { items } = migrationKeys(options.name)
    const stored = await lookAtMigration(extension, options.name, held.signal)
    const known = await knownItems(extension, items, held.signal)
    // The first step stores it, so it is asked for only once in the life of a poller. A snapshot's tag would
    // stand for items that nobody knows.
    const isNew = stored.step === 0 && options.source.cursors.kind !== 'snapshot'
    const cursor = isNew ? await options.from() : parseCursor(stored.cursor)
    const seat = new Seat(scope, held, stored, cursor, known)
    await seat.note({ kind: options.mayLeavePolling ? options.source.cursors.kind : 'unknown' })
    return seat
  }

  /** What stands in Redis, as far as this process has seen. */
  get stored(): StoredMigration {
    return this.#stored
  }

  /** Whether this process may act: asked before each step that has effects. */
  mayAct(signal: AbortSignal): boolean {
    return !signal.aborted && !this.#hasFailed && this.held.holds()
  }

  /** Whether a step failed, so that what is in memory may not be what stands in Redis. */
  get hasFailed(): boolean {
    return this.#hasFailed
  }

  /** Looks at what is wanted now. */
  async look(signal: AbortSignal): Promise<StoredMigration> {
    await this.#tail
    const stored = await lookAtMigration(this.scope.extension, this.scope.options.name, signal)
    this.#stored = { ...stored, step: Math.max(stored.step, this.#stored.step) }
    return this.#stored
  }

  async bridge(signal: AbortSignal): Promise<Ledger> {
    const { extension, options, clock } = this.scope
    const ledger = await lookAtBridge(extension, bridgeKeys(options.bridge), signal)
    const nowMs = clock.monotonicMs()
    this.#bridgeSeen = sight(this.#bridgeSeen, ledger.life, nowMs)
    this.#bridgeIsOver = isOver(this.#bridgeSeen, ledger.life, nowMs)
    return ledger
  }

  /** Whether no process runs the bridge, by what the looks at it have shown so far. */
  get bridgeIsOver(): boolean {
    return this.#bridgeIsOver
  }

  /** Everything that a snapshot's bridge has seen, as its hash holds it. */
  bridgeItems(signal: AbortSignal): Promise<Map<string, string>> {
    return knownItems(this.scope.extension, bridgeKeys(this.scope.options.bridge).items, signal)
  }

  /** Stores the position and further fields in one step. */
  note(fields: Readonly<Record<string, string>> = {}): Promise<void> {
    const noted = this.#tail.then(() => this.#note(fields))
    // The one who asked hears of a failure; the next in line only must not go on.
    this.#tail = noted.catch(() => {
      this.#hasFailed = true
    })
    return noted
  }

  /** Gives the item to the handler; rejects as the handler does. */
  async handle(item: Item | undefined, change: Change): Promise<void> {
    const { mode, epoch } = this.#stored.record.acting
    const { options, hurry } = this.scope
    const handled = (async () =>
      options.handler(item, { change, via: viaOf(mode), epoch, signal: this.#handlerSignal }))()
    // Nobody waits any longer then; the item comes again.
    await abortable(handled, hurry, 'The handler')
  }

  /** Sets or ends the fallback to polling; does nothing if the poller was switched meanwhile. */
  async setFallback(reason: string, signal: AbortSignal): Promise<void> {
    const { record } = await this.look(signal)
    if (record.state !== 'stream-with-fallback' || (record.fallback === '') === (reason === '')) {
      return
    }
    const why = reason === '' ? 'the stream is well again' : reason
    const entry = { to: record.state, who: 'millrace', why }
    await storeSwitch(this.scope.extension, record, entry, reason, signal)
  }

  report(error: unknown): void {
    pollChannels.pollerFailed.publish({
      stream: this.scope.stream.name,
      poller: this.scope.options.name,
      mode: this.#stored.record.acting.mode,
      error: error instanceof Error ? error : new Error(messageOf(error)),
    })
  }

  async #note(fields: Readonly<Record<string, string>>): Promise<void> {
    if (this.#hasFailed || !this.held.holds()) {
      throw new PollAdapterError('STATE_INVALID', 'The lease of the poller is over')
    }
    const { extension } = this.scope
    const number = this.#stored.step + 1
    const { cursor, set, remove } = this.position.takeDelta()
    await extension.append(
      {
        lease: { name: this.#keys.lease, token: this.held.token },
        ledger: this.#keys.record,
        number,
        events: [],
        note: { cursor, ...fields },
        index: { name: this.#keys.items, set, remove },
      },
      { signal: this.held.signal },
    )
    const { startId, notedId, cut, consumer, report } = { ...this.#stored, ...fields }
    const noted = { startId, notedId, cut, consumer, report }
    this.#stored = { ...this.#stored, step: number, cursor, ...noted }
  }
}
