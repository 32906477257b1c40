import { channels } from '../diagnostics.ts'
import type { DeliveryTally } from '../delivery/tally.ts'
import { messageOf } from '../errors.ts'
import type { Clock } from '../lifecycle/clock.ts'
import type { Held } from './held.ts'
import type { Outcome } from './verdict.ts'

/** Tells subscribers about one delivery, each or many at once. */
export function reportHandled(
  held: Held,
  outcome: Outcome,
  clock: Clock,
  facts: { readonly stream: string; readonly name: string },
  tally: DeliveryTally,
): void {
  const isCounted = channels.deliveriesSettled.hasSubscribers
  if (!isCounted && !channels.handled.hasSubscribers) return
  const settledMs = clock.monotonicMs()
  if (isCounted) {
    const { attempt, redriven, startedMs } = held
    const redelivered = held.redelivered || attempt > 1
    if (outcome.kind !== 'done' || redelivered || redriven)
      tally.remark({ attempt, outcome: outcome.kind, redelivered, redriven })
    tally.add(held.eventId, held.receivedMs, startedMs, settledMs, held.traceparent)
  }
  if (!channels.handled.hasSubscribers) return
  channels.handled.publish({
    ...facts,
    id: held.eventId,
    attempt: held.attempt,
    ok: outcome.kind === 'done',
    waitedMs: Math.max(held.startedMs - held.readyMs, 0),
    durationMs: settledMs - held.startedMs,
    error: errorOf(outcome, held),
  })
}

/** Tells subscribers about handlers that still ran when the deadline of closing passed. */
export function reportAbandoned(
  ids: readonly string[],
  error: Error,
  facts: { readonly stream: string; readonly name: string },
): void {
  for (const id of ids) {
    channels.handled.publish({
      ...facts,
      id,
      attempt: 0,
      ok: false,
      waitedMs: 0,
      durationMs: 0,
      error,
    })
  }
}

function errorOf(outcome: Outcome, held: Held): Error | undefined {
  if (outcome.kind === 'done') return undefined
  const error = outcome.kind === 'interrupted' ? held.delivery?.abortReason : outcome.error
  return error instanceof Error ? error : new Error(messageOf(error))
}
