import { isMillraceError, MillraceError } from '../../errors.ts'
import type { OutgoingEvent } from '../encode.ts'
import type { LaneOwner, LaneSettings } from './lane.ts'
import { eventsFromText } from './spooled-batch.ts'

/** What one look into the file brings, and how few batches in memory ask for another. */
const PAGE_BATCHES = 256
const PAGE_BYTES = 4 * 1024 * 1024
const LOW_BATCHES = 64

export interface TakenBatch {
  readonly position: number
  readonly events: readonly OutgoingEvent[]
  readonly bytes: number
}

/** Batches of a spool file on their way to the window, a bounded number of them in memory. */
export class ReadAhead {
  readonly #settings: LaneSettings
  readonly #owner: LaneOwner
  #batches: TakenBatch[] = []
  #readThrough: number
  #isReading = false

  constructor(settings: LaneSettings, owner: LaneOwner, after: number) {
    this.#settings = settings
    this.#owner = owner
    this.#readThrough = after
  }

  shift(): TakenBatch | undefined {
    return this.#batches.shift()
  }

  /** What comes up to this position is in the window already. */
  skipTo(position: number): void {
    this.#batches = []
    this.#readThrough = position
  }

  /** Positions behind this one were not written after all, and will come again. */
  cutBackTo(committed: number): void {
    this.#readThrough = Math.min(this.#readThrough, committed)
  }

  /** Reads on, if there is more on disk and room in memory. */
  fill(file: string | undefined, committed: number): void {
    if (this.#isReading || file === undefined || this.#readThrough >= committed) return
    if (this.#batches.length > LOW_BATCHES) return
    this.#isReading = true
    const after = this.#readThrough
    this.#settings.thread.call('read', file, after, PAGE_BATCHES, PAGE_BYTES).then(
      (rows) => {
        this.#isReading = false
        const nowMs = this.#settings.clock.monotonicMs()
        const wallMs = Date.now()
        for (const { position, events, bytes, atMs } of rows) {
          const startedMs = nowMs - Math.max(wallMs - atMs, 0)
          this.#batches.push({ position, events: eventsFromText(events, bytes, startedMs), bytes })
          this.#readThrough = position
        }
        this.#owner.wake()
      },
      (error: unknown) => {
        this.#isReading = false
        this.#owner.fail(
          isMillraceError(error)
            ? error
            : new MillraceError('SPOOL_FAILED', 'The spool could not be read', { cause: error }),
        )
      },
    )
  }
}
