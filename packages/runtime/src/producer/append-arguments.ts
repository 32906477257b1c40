import type { OutgoingEvent } from './encode.ts'

/** What the append script is told about one batch, before its events. */
export interface BatchHeading {
  readonly record: string
  readonly first: number
  readonly answeredThrough: number
  readonly incarnation: string
  readonly tag: string
  readonly maxAgeMs: number
  readonly maxLength: number
}

/** The script's ARGV: field names are sent once for each run of events that have the same ones. */
export function appendArguments(
  heading: BatchHeading,
  events: readonly OutgoingEvent[],
): (string | Buffer)[] {
  const args: (string | Buffer)[] = [
    heading.record,
    String(heading.first),
    String(events.length),
    String(heading.answeredThrough),
    heading.incarnation,
    heading.tag,
    bound(heading.maxAgeMs),
    bound(heading.maxLength),
  ]
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
