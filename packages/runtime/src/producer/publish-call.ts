import type { OutgoingEvent } from './encode.ts'
import type { PublishResult } from './options.ts'
import type { Batch } from './window.ts'

/** One call of `publish` or `publishMany`, from its acceptance until its promise is settled. */
export class PublishCall {
  readonly size: number
  readonly startedMs: number
  readonly dueMs: number
  /** How many of its events are known to be in the stream. */
  stored = 0
  /** The batch of its first event, once that has a sequence. */
  firstBatch: Batch<OutgoingEvent> | undefined
  /** Takes the listener off the caller's signal. */
  offSignal: (() => void) | undefined
  settled = false
  readonly #results: PublishResult[] = []
  readonly #outcome: Outcome

  constructor(size: number, startedMs: number, dueMs: number, outcome: Outcome) {
    this.size = size
    this.startedMs = startedMs
    this.dueMs = dueMs
    this.#outcome = outcome
  }

  /** The event with this index is in the stream. */
  confirm(index: number, id: string, duplicate: boolean): void {
    if (this.settled) return
    this.#results[index] = { id, duplicate, stored: 'stream' }
    if (++this.stored < this.size) return
    this.#settle()
    this.#outcome.resolve(this.#results)
  }

  fail(error: Error): void {
    if (this.settled) return
    this.#settle()
    this.#outcome.reject(error)
  }

  /** Whether some of it is in the stream, or may be, or may still get there. */
  mayBeStored(): boolean {
    const batch = this.firstBatch
    return this.stored > 0 || (batch !== undefined && (batch.outstanding || batch.unknown))
  }

  #settle(): void {
    this.settled = true
    this.offSignal?.()
    this.offSignal = undefined
    this.#outcome.settled(this)
  }
}

export interface Outcome {
  resolve(results: PublishResult[]): void
  reject(error: Error): void
  settled(call: PublishCall): void
}
