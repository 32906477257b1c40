import { channels } from '../diagnostics.ts'
import { messageOf, MillraceError } from '../errors.ts'
import { idAfter } from '../stream/stream-id.ts'
import type { OutgoingEvent } from './encode.ts'
import type { Batch, Placement, Rejected } from './window.ts'

/** Tells the callers of a batch where their events are, unless they know that they are in the spool. */
export function confirmBatch(
  stream: string,
  batch: Batch<OutgoingEvent>,
  placement: Placement,
  nowMs: () => number,
): void {
  const { events, bytes } = batch
  if (!batch.answered) answerCallers(events, placement)
  batch.answered = true
  if (!channels.published.hasSubscribers) return
  channels.published.publish({
    stream,
    events: events.length,
    bytes,
    duplicates: placement.originals?.size ?? 0,
    durationMs: nowMs() - (events[0]?.call.startedMs ?? 0),
  })
}

function answerCallers(events: readonly OutgoingEvent[], { firstId, originals }: Placement): void {
  let appended = 0
  for (let i = 0; i < events.length; i++) {
    const event = events[i]
    if (event === undefined) continue
    const original = originals?.get(i)
    if (original === undefined) event.call.confirm(event.index, idAfter(firstId, appended++), false)
    else event.call.confirm(event.index, original, true)
  }
}

/** Tells the callers of a batch that their events are in the stream, and not where else they should be. */
export function failLate(
  stream: string,
  { events }: Batch<OutgoingEvent>,
  error: MillraceError,
): void {
  const open = events.filter(({ call }) => !call.settled)
  for (const { call } of open) call.fail(error)
  if (open.length > 0) channels.publishFailed.publish({ stream, events: open.length, error })
}

/** Tells the callers of events that the server refused for good. */
export function rejectEvents(stream: string, { events, error }: Rejected<OutgoingEvent>): void {
  let failed = 0
  for (const { call } of events) {
    if (call.settled) continue
    failed++
    call.fail(call.stored === 0 ? error : partlyStored(call.stored, call.size, error))
  }
  if (failed > 0) channels.publishFailed.publish({ stream, events: failed, error })
}

/** Tells the callers of events that could not be put into the spool. */
export function failEvents(
  stream: string,
  events: readonly OutgoingEvent[],
  error: MillraceError,
): void {
  let failed = 0
  for (const { call } of events) {
    if (call.settled) continue
    failed++
    call.fail(call.mayBeStored() ? partlyStored(call.stored, call.size, error) : error)
  }
  if (failed > 0) channels.publishFailed.publish({ stream, events: failed, error })
}

function partlyStored(stored: number, size: number, error: Error): MillraceError {
  return new MillraceError(
    'PUBLISH_UNKNOWN',
    `The first ${stored} of ${size} events are in the stream, the others may be: ${messageOf(error)}`,
    { cause: error },
  )
}
