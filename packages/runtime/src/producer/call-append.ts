import type { Session } from '../connection/session.ts'
import { newIncarnation } from '../stream/incarnation.ts'
import type { StreamKeys } from '../stream/keys.ts'
import { appendScript } from './append-script.ts'
import type { OutgoingEvent } from './encode.ts'

/** What the append script is told about one batch, before its events. */
export interface BatchHeading {
  readonly record: string
  readonly first: number
  readonly answeredThrough: number
  readonly maxAgeMs: number
  readonly maxLength: number
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
  return session.client.call(withSource ? 'eval' : 'evalsha', [
    withSource ? appendScript.source : appendScript.sha,
    5,
    keys.stream,
    keys.meta,
    keys.producers,
    ...keys.idempotency,
    heading.record,
    String(heading.first),
    String(events.length),
    String(heading.answeredThrough),
    newIncarnation(),
    keys.tag,
    bound(heading.maxAgeMs),
    bound(heading.maxLength),
    ...runsOf(events),
  ])
}

/** The events as the script takes them: field names once for each run of events with the same ones. */
function runsOf(events: readonly OutgoingEvent[]): (string | Buffer)[] {
  const args: (string | Buffer)[] = []
  let start = 0
  while (start < events.length) start = pushRun(args, events, start)
  return args
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
