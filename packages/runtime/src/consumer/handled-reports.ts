import type { Delivery } from '../delivery/context.ts'
import { DeliveryTally } from '../delivery/tally.ts'
import { channels } from '../diagnostics.ts'
import { MillraceError } from '../errors.ts'
import type { Clock } from '../lifecycle/clock.ts'
import type { Entry } from './backlog.ts'

/** Tells whoever listens what became of the deliveries of one consumer, each or many at once. */
export class HandledReports {
  readonly #clock: Clock
  readonly #stream: string
  readonly #name: string
  /** Made when somebody first counts. */
  #tally: DeliveryTally | undefined

  constructor(clock: Clock, stream: string, name: string) {
    this.#clock = clock
    this.#stream = stream
    this.#name = name
  }

  /**
   * A handler has settled. Answers the time, where it was looked at and nobody else has run since: whoever
   * goes on need not look again.
   */
  add(
    entry: Entry<unknown>,
    delivery: Delivery,
    startedMs: number,
    failure: { readonly error: unknown } | undefined,
  ): number | undefined {
    const isCounted = channels.deliveriesSettled.hasSubscribers
    const isReported = channels.handled.hasSubscribers
    if (!isCounted && !isReported) return undefined
    const settledMs = this.#clock.monotonicMs()
    const isTold =
      isCounted && this.#count(entry, delivery, startedMs, settledMs, failure !== undefined)
    if (!isReported) return isTold ? undefined : settledMs
    channels.handled.publish({
      stream: this.#stream,
      name: this.#name,
      id: entry.id,
      attempt: delivery.attempt,
      ok: failure === undefined,
      waitedMs: startedMs - entry.receivedMs,
      durationMs: settledMs - startedMs,
      error: failure === undefined ? undefined : asError(failure.error),
    })
    return undefined
  }

  /** Answers whether whoever counts was told at once. */
  #count(
    { id, receivedMs, decoded }: Entry<unknown>,
    { attempt, redelivered, redriven, abortReason }: Delivery,
    startedMs: number,
    settledMs: number,
    hasFailed: boolean,
  ): boolean {
    this.#tally ??= new DeliveryTally(this.#stream, this.#name, 'consumer')
    if (hasFailed || redelivered || redriven) {
      const failed = abortReason === undefined || isTooSlow(abortReason) ? 'failed' : 'interrupted'
      const outcome = hasFailed ? failed : 'done'
      this.#tally.remark({ attempt, outcome, redelivered, redriven })
    }
    const traceparent =
      decoded !== undefined && 'event' in decoded ? decoded.event.headers['traceparent'] : undefined
    return this.#tally.add(id, receivedMs, startedMs, settledMs, traceparent)
  }
}

/** Whether a handler was told to give up because it took too long, which counts as failed. */
export function isTooSlow(abortReason: Error | undefined): boolean {
  return abortReason instanceof MillraceError && abortReason.code === 'HANDLER_FAILED'
}

function asError(cause: unknown): Error {
  return cause instanceof Error ? cause : new Error(String(cause))
}
