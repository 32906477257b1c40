import { changeOf, contentHash } from '../change/change.ts'
import type { SourcePosition } from '../change/position.ts'
import { pollChannels } from '../diagnostics.ts'
import { pause } from '../lifecycle/signals.ts'
import { Comparison } from './comparison.ts'
import { locate } from './locate.ts'
import { pollMode } from './poll-mode.ts'
import type { Seat } from './seat.ts'
import { parseReport } from './shadow-report.ts'

const SWEEP_EVERY_MS = 250
const NOTE_EVERY_SWEEPS = 4
const RETRY_AFTER_MS = 500

/**
 * Polls as ever, and reads the stream beside it: the handler sees nothing of that, only the comparison does.
 * It begins once the place in the stream is known that belongs to the position.
 */
export async function shadowMode<Item, Data>(
  seat: Seat<Item, Data>,
  signal: AbortSignal,
  poked: () => AbortSignal,
): Promise<void> {
  const { options, clock } = seat.scope
  const ended = new AbortController()
  const either = AbortSignal.any([signal, ended.signal])
  const comparison = new Comparison(
    {
      windowMs: options.shadowWindowMs,
      latestOnly: options.source.cursors.kind === 'snapshot',
    },
    parseReport(seat.stored.report),
  )
  const shadow = new Shadow(seat, comparison)
  const watching = Promise.all([shadow.follow(either), keepNoting(seat, comparison, either)])
  try {
    await pollMode(seat, signal, poked, ({ change }) => {
      if (shadow.hasBegun) comparison.saw('poll', change, clock.monotonicMs())
    })
  } finally {
    ended.abort()
    await watching
  }
  if (seat.held.holds() && !seat.hasFailed) await note(seat, comparison)
}

/** The stream's side of the comparison. */
class Shadow<Item, Data> {
  readonly #seat: Seat<Item, Data>
  readonly #comparison: Comparison
  /** What was handled before the comparison began: its events are no part of it. */
  #baseline: SourcePosition | undefined

  constructor(seat: Seat<Item, Data>, comparison: Comparison) {
    this.#seat = seat
    this.#comparison = comparison
  }

  get hasBegun(): boolean {
    return this.#baseline !== undefined
  }

  async follow(signal: AbortSignal): Promise<void> {
    let from: string | { readonly id: string } | undefined
    while (!signal.aborted) {
      try {
        from ??= await this.#begin(signal)
        if (from !== undefined) from = await this.#read(from, signal)
      } catch (error) {
        if (!signal.aborted) this.#seat.report(error)
      }
      await pause(this.#seat.scope.clock, RETRY_AFTER_MS, signal)
    }
  }

  /** Undefined while the place is not known. */
  async #begin(signal: AbortSignal): Promise<{ readonly id: string } | undefined> {
    const { options, millrace, stream } = this.#seat.scope
    const { position, stored } = this.#seat
    const { cursor } = position
    const { bridgeFetches } = stored
    const ledger = await this.#seat.bridge(signal)
    const facts = await millrace.inspect(stream, { signal })
    const place = locate(options.source.cursors, cursor, bridgeFetches, ledger, facts)
    if (!place.found) return undefined
    this.#baseline = position.copy()
    this.#comparison.begin()
    return { id: place.id }
  }

  /** Reads until the signal fires; answers where it got to. */
  async #read(
    from: string | { readonly id: string },
    signal: AbortSignal,
  ): Promise<string | { readonly id: string }> {
    const { millrace, stream, clock, options } = this.#seat.scope
    let reached = from
    const reader = millrace.reader(stream, { from, signal, onInvalid: 'skip' })
    try {
      for await (const event of reader) {
        reached = event.cursor
        const change = changeOf(event)
        if (change === undefined) this.#comparison.sawUnidentified()
        else if (this.#baseline?.knows(change) !== true) {
          // The event's payload may be another form of the item; what counts is what the handler would get.
          const item = options.itemOf(event, change)
          const hash = item === undefined ? '' : contentHash(item)
          this.#comparison.saw('stream', { ...change, hash }, clock.monotonicMs())
        }
      }
    } finally {
      await reader.close()
    }
    return reached
  }
}

async function keepNoting<Item, Data>(
  seat: Seat<Item, Data>,
  comparison: Comparison,
  signal: AbortSignal,
): Promise<void> {
  const { clock } = seat.scope
  for (let sweeps = 1; seat.mayAct(signal); sweeps++) {
    await pause(clock, SWEEP_EVERY_MS, signal)
    comparison.sweep(clock.monotonicMs())
    if (sweeps % NOTE_EVERY_SWEEPS !== 0 || !seat.mayAct(signal)) continue
    // Its failure ends the hold, and the mode with it.
    await note(seat, comparison).catch(() => undefined)
  }
}

async function note<Item, Data>(seat: Seat<Item, Data>, comparison: Comparison): Promise<void> {
  const report = comparison.report()
  const { matched, onlyPoll, onlyStream, outOfOrder, differing } = report
  const { stream, options } = seat.scope
  pollChannels.shadowCompared.publish({
    stream: stream.name,
    poller: options.name,
    matched,
    onlyPoll,
    onlyStream,
    outOfOrder,
    differing,
  })
  const text = JSON.stringify(report)
  if (text !== seat.stored.report) await seat.note({ report: text })
}
