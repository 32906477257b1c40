import type { OutgoingEvent } from './encode.ts'
import type { PublishResult } from './options.ts'
import type { Batch } from './window.ts'

/**
 * One call of `publish` or `publishMany`, from its acceptance until its promise is settled. With
 * `publish` there is one for each event, so it is kept small.
 */
export class PublishCall {
  readonly size: number
  readonly startedMs: number
  readonly dueMs: number
  /** How many of its events are known to be in the stream, or in the spool. */
  stored = 0
  settled = false
  /** The batch of its first event, once that has a sequence. */
  firstBatch: Batch<OutgoingEvent> | undefined = undefined
  /** Takes the listener off the caller's signal. */
  offSignal: (() => void) | undefined = undefined
  readonly #answer: Answerer
  readonly #reject: (error: Error) => void
  readonly #onSettled: (call: PublishCall) => void

  constructor(
    size: number,
    startedMs: number,
    dueMs: number,
    answer: Answerer,
    reject: (error: Error) => void,
    onSettled: (call: PublishCall) => void,
  ) {
    this.size = size
    this.startedMs = startedMs
    this.dueMs = dueMs
    this.#answer = answer
    this.#reject = reject
    this.#onSettled = onSettled
  }

  /** The event with this index is in the stream. */
  confirm(index: number, id: string, duplicate: boolean): void {
    this.#store({ id, duplicate, stored: 'stream' }, index)
  }

  /** The event with this index is in the spool, and will be in the stream. */
  keep(index: number): void {
    this.#store(IN_SPOOL, index)
  }

  fail(error: Error): void {
    if (this.settled) return
    this.#settle()
    this.#reject(error)
  }

  /** Whether some of it is in the stream, or may be, or may still get there. */
  mayBeStored(): boolean {
    const batch = this.firstBatch
    if (this.stored > 0) return true
    if (batch === undefined) return false
    return batch.outstanding || batch.unknown || batch.position !== undefined
  }

  #store(result: PublishResult, index: number): void {
    if (this.settled) return
    this.stored++
    if (this.stored === this.size) this.#settle()
    this.#answer(result, index)
  }

  #settle(): void {
    this.settled = true
    this.offSignal?.()
    this.offSignal = undefined
    this.#onSettled(this)
  }
}

const IN_SPOOL: PublishResult = Object.freeze({ stored: 'spool' })

/** Takes the result of one event after the other. For `publish` it is the promise's own resolver. */
export type Answerer = (result: PublishResult, index: number) => void

/** Gathers the results of a whole array, and resolves when all are there. */
export function answerAll(size: number, resolve: (results: PublishResult[]) => void): Answerer {
  const results: PublishResult[] = []
  let there = 0
  return (result, index) => {
    results[index] = result
    if (++there === size) resolve(results)
  }
}
