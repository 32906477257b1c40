import { type Extension, type HeldLease, isMillraceError, type StepEvent } from '@millrace/runtime'
import { headersOf } from '../change/change.ts'
import { type Cursor, formatCursor } from '../change/cursor.ts'
import { changeHeaders } from '../change/headers.ts'
import { SourcePosition } from '../change/position.ts'
import { pollChannels } from '../diagnostics.ts'
import { isPollAdapterError, messageOf } from '../errors.ts'
import type { Clock } from '../lifecycle/clock.ts'
import { pause } from '../lifecycle/signals.ts'
import { nextIntervalMs } from './interval.ts'
import {
  type BridgeKeys,
  type Border,
  formatBorders,
  type Ledger,
  noteAlive,
  withBorder,
} from './ledger.ts'
import type { ResolvedBridgeOptions } from './options.ts'
import { type Found, readPage } from './paging.ts'

/** So many events go into the stream in one step. */
const MOST_IN_STEP = 500
/** A sign of life without news, at most so often. */
const ALIVE_EVERY_MS = 500

export interface BridgeTurnScope<Item, Input> {
  readonly options: ResolvedBridgeOptions<Item, Input>
  readonly extension: Extension<Input>
  readonly keys: BridgeKeys
  readonly stream: string
  /** Whether the stream tells the keys of its events itself. */
  readonly hasOwnKeys: boolean
  readonly held: HeldLease
  /** What stands in Redis at the beginning of the turn. */
  readonly ledger: Ledger
  readonly known: ReadonlyMap<string, string>
  readonly clock: Clock
}

/**
 * What one process does while it is elected. Whatever fails in Redis ends the turn: the next one, here or
 * elsewhere, begins with what stands in Redis, never with what was in memory.
 */
export class BridgeTurn<Item, Input> {
  readonly #scope: BridgeTurnScope<Item, Input>
  readonly #position: SourcePosition
  #ledger: Ledger
  #heardMs = Number.NEGATIVE_INFINITY

  constructor(scope: BridgeTurnScope<Item, Input>) {
    const { options, ledger, known } = scope
    this.#scope = scope
    this.#ledger = ledger
    this.#position = new SourcePosition(
      options.source.cursors,
      ledger.began ? ledger.cursor : options.from,
      known,
    )
  }

  /** Polls until the lease is over. */
  async run(): Promise<void> {
    const { options, held, clock } = this.#scope
    // What came before the place where a bridge begins is not in the stream.
    if (!this.#ledger.began) {
      await this.#step([], { began: '1', from: formatCursor(options.from) }, true)
    }
    let intervalMs = options.minIntervalMs
    while (held.holds()) {
      let brought: 'failure' | 'news' | 'nothing'
      try {
        brought = (await this.#fetchAll()) ? 'news' : 'nothing'
      } catch (error) {
        if (held.signal.aborted) return
        this.#report(error)
        // The source's troubles are waited out here; those of Redis are for another turn.
        if (!isPollAdapterError(error, 'SOURCE_FAILED')) throw error
        brought = 'failure'
      }
      intervalMs = nextIntervalMs(options, intervalMs, brought)
      await pause(clock, intervalMs, held.signal)
    }
  }

  /** Everything there is just now, page by page; answers whether there was anything new. */
  async #fetchAll(): Promise<boolean> {
    const { options, held, clock, stream } = this.#scope
    const { source, pageSize, fetchTimeoutMs, maxDeletedShare } = options
    const startedMs = clock.monotonicMs()
    // Whoever takes over from a poller has to know which fetches began after its last one.
    if (source.cursors.kind === 'snapshot') {
      await this.#step([], { started: String(this.#ledger.started + 1) }, true)
    }
    let changes = 0
    for (let from: Cursor | undefined = this.#position.from; ; ) {
      const read = await readPage(source, this.#position, from, {
        signal: held.signal,
        limit: pageSize,
        timeoutMs: fetchTimeoutMs,
        maxDeletedShare,
        returned: 'refuse',
      })
      await this.#publish(read.news, read.end)
      changes += read.news.length
      if (!read.more || !held.holds()) break
      from = read.end
    }
    await this.#heardOf()
    const bridge = options.name
    const durationMs = clock.monotonicMs() - startedMs
    pollChannels.bridgePolled.publish({ stream, bridge, changes, durationMs })
    return changes > 0
  }

  async #publish(news: readonly Found<Item>[], end: Cursor | undefined): Promise<void> {
    const isSnapshot = this.#scope.options.source.cursors.kind === 'snapshot'
    let at = 0
    do {
      const some = news.slice(at, at + MOST_IN_STEP)
      at += MOST_IN_STEP
      const isEnd = at >= news.length
      const events: StepEvent<Input>[] = []
      for (const found of some) {
        // A border's cursor stands for the whole page, so only the last of it may have it.
        const isLast = isEnd && found === some.at(-1)
        const border = isLast && end !== this.#position.cursor ? end : undefined
        const event = this.#eventOf(found, border)
        if (event !== undefined && (await this.#isStorable(event))) events.push(event)
        this.#position.take(found.change)
      }
      if (isEnd) this.#position.passBorder(end)
      const note: Record<string, string> = {}
      if (isEnd && isSnapshot) note['fetches'] = String(this.#ledger.started)
      if (events.length > 0 || this.#position.isDirty || isSnapshot) {
        await this.#step(events, note, isEnd)
      }
    } while (at < news.length)
  }

  #eventOf({ change, item }: Found<Item>, end: Cursor | undefined): StepEvent<Input> | undefined {
    const { source, toEvent } = this.#scope.options
    const event = toEvent(item, change)
    if (event === undefined) return undefined
    const border =
      source.cursors.kind === 'border' && end !== undefined
        ? { [changeHeaders.cursor]: formatCursor(end) }
        : {}
    const headers = { ...event.headers, ...headersOf(change), ...border }
    // Of an item that is gone the stream's own function could not tell the key.
    const hasOwnKey = this.#scope.hasOwnKeys && item !== undefined
    return { ...event, headers, ...(hasOwnKey ? {} : { key: change.key }) }
  }

  /** Unless the owner says that what cannot be stored is left out, the step itself will fail on it. */
  async #isStorable(event: StepEvent<Input>): Promise<boolean> {
    if (this.#scope.options.onInvalid !== 'skip') return true
    try {
      await this.#scope.extension.check(event)
      return true
    } catch (error) {
      if (
        !isMillraceError(error, 'PAYLOAD_INVALID') &&
        !isMillraceError(error, 'PAYLOAD_TOO_LARGE')
      ) {
        throw error
      }
      this.#report(error)
      return false
    }
  }

  /**
   * Puts events, position and note into Redis in one step.
   *
   * @param atBorder whether nothing of a page is left for another step
   */
  async #step(
    events: readonly StepEvent<Input>[],
    note: Readonly<Record<string, string>>,
    atBorder: boolean,
  ): Promise<void> {
    const { extension, keys, held } = this.#scope
    const before = this.#ledger
    const borders = bordersAfter(before)
    const { cursor, set, remove } = this.#position.takeDelta()
    const { lastId, recreated } = await extension.append(
      {
        lease: { name: keys.lease, token: held.token },
        ledger: keys.ledger,
        number: before.step + 1,
        events,
        note: {
          cursor,
          before: formatCursor(before.cursor),
          from: formatCursor(before.from),
          atBorder: atBorder ? '1' : '0',
          ...(borders === before.borders ? {} : { borders: formatBorders(borders) }),
          ...note,
        },
        index: { name: keys.items, set, remove },
      },
      { signal: held.signal },
    )
    this.#ledger = {
      ...before,
      step: before.step + 1,
      began: true,
      // A stream that was created anew holds nothing of what came before.
      from: recreated ? before.cursor : before.began ? before.from : this.#scope.options.from,
      cursor: this.#position.cursor,
      lastId: lastId ?? before.lastId,
      atBorder,
      borders: recreated ? [] : borders,
      started: Number(note['started'] ?? before.started),
      fetches: Number(note['fetches'] ?? before.fetches),
    }
  }

  async #heardOf(): Promise<void> {
    const { extension, keys, held, clock } = this.#scope
    const nowMs = clock.monotonicMs()
    if (nowMs - this.#heardMs < ALIVE_EVERY_MS) return
    await noteAlive(extension, keys, held.token, held.signal)
    this.#heardMs = nowMs
  }

  #report(error: unknown): void {
    pollChannels.bridgeFailed.publish({
      stream: this.#scope.stream,
      bridge: this.#scope.options.name,
      error: error instanceof Error ? error : new Error(messageOf(error)),
    })
  }
}

/** Where the bridge stands becomes one of the places that it has passed. */
function bordersAfter(ledger: Ledger): readonly Border[] {
  if (!ledger.atBorder || ledger.lastId === '') return ledger.borders
  const { cursor, lastId: id, fetches, borders } = ledger
  const last = borders.at(-1)
  if (last === undefined || last.id !== id) return withBorder(borders, { cursor, id, fetches })
  if (last.cursor === cursor && last.fetches === fetches) return borders
  return [...borders.slice(0, -1), { cursor, id, fetches }]
}
