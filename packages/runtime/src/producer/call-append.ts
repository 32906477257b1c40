import type { Session } from '../connection/session.ts'
import type { Retention } from '../stream/define-stream.ts'
import { newIncarnation } from '../stream/incarnation.ts'
import type { StreamKeys } from '../stream/keys.ts'
import { appendScript } from './append-script.ts'
import type { OutgoingEvent } from './encode.ts'

/** What the append script is told about one batch, before its events. */
export interface BatchHeading {
  readonly record: string
  readonly first: number
  readonly answeredThrough: number
  readonly bounds: RetentionBounds
}

/** What publishing may remove, as the script takes it. */
export interface RetentionBounds {
  readonly maxAgeMs: string
  readonly maxLength: string
}

export function boundsOf(retention: Retention): RetentionBounds {
  return { maxAgeMs: bound(retention.maxAgeMs), maxLength: bound(retention.maxLength) }
}

/**
 * Sends one batch: by the script's digest, or with its source. A repeat after NOSCRIPT is the window's
 * to decide, because it would overtake the batches behind.
 */
export function callAppend(
  session: Session,
  keys: StreamKeys,
  heading: BatchHeading,
  events: readonly OutgoingEvent[],
  withSource: boolean,
): Promise<unknown> {
  // In one array: with many headers there are more arguments than a call may be spread over.
  const args: (string | Buffer)[] = [
    withSource ? appendScript.source : appendScript.sha,
    '3',
    keys.stream,
    keys.meta,
    keys.producers,
  ]
  if (events.some(isKeyed)) {
    args[1] = '5'
    args.push(...keys.idempotency)
  }
  args.push(
    heading.record,
    String(heading.first),
    String(events.length),
    String(heading.answeredThrough),
    newIncarnation(),
    keys.tag,
    heading.bounds.maxAgeMs,
    heading.bounds.maxLength,
  )
  // Field names once for each run of events with the same ones.
  let start = 0
  while (start < events.length) start = pushRun(args, events, start)
  return session.client.call(withSource ? 'eval' : 'evalsha', args)
}

function isKeyed(event: OutgoingEvent): boolean {
  return event.idempotencyKey !== undefined
}

function pushRun(
  args: (string | Buffer)[],
  events: readonly OutgoingEvent[],
  start: number,
): number {
  const model = events[start]
  if (model === undefined) return events.length
  const keyed = model.idempotencyKey !== undefined
  const countAt = args.length
  args.push('', String(model.names.length), keyed ? '1' : '0', ...model.names)
  let end = start
  for (; end < events.length; end++) {
    const event = events[end]
    if (event === undefined || !sameFields(event, model)) break
    if (event.idempotencyKey !== undefined) args.push(event.idempotencyKey)
    for (const value of event.values) args.push(value)
  }
  args[countAt] = String(end - start)
  return end
}

function sameFields(a: OutgoingEvent, b: OutgoingEvent): boolean {
  if ((a.idempotencyKey === undefined) !== (b.idempotencyKey === undefined)) return false
  if (a.names === b.names) return true
  return a.names.length === b.names.length && a.names.every((name, i) => name === b.names[i])
}

/** The script's 0 means no bound; it counts in whole numbers. */
function bound(value: number): string {
  return Number.isFinite(value) ? Math.ceil(value).toFixed(0) : '0'
}
