import { channels } from '../diagnostics.ts'
import { type Gap, MillraceError } from '../errors.ts'
import type { StreamFigures } from '../stream/open-stream-script.ts'
import { compareIds, idTimeMs } from '../stream/stream-id.ts'

/** A gap as the state of a consumer or group has it. */
export interface ReportedGap extends Gap {
  /** `<from>,<to>,<count or nothing>,<incarnation>`; whoever has told of it names it so. */
  readonly text: string
}

/** Undefined for a gap of another incarnation, whose events are of no more interest to anybody. */
export function reportedGap(text: string, incarnation: string): ReportedGap | undefined {
  const [from, to, count = '', of] = text.split(',')
  if (from === undefined || to === undefined || of !== incarnation) return undefined
  return { from, to, events: Number(count), known: count !== '', text }
}

/**
 * The gap of somebody whose position only the caller keeps, undefined when there is none. How many
 * events lay there can only be estimated: by how densely the stream is filled now, and no more than it
 * has ever lost.
 */
export function gapAfter(position: string, figures: StreamFigures): Gap | undefined {
  const { trimmed, firstId, lastId, length, entriesAdded } = figures
  if (compareIds(position, trimmed) >= 0) return undefined
  const lost = Math.max(entriesAdded - length, 1)
  const spanMs = idTimeMs(lastId) - idTimeMs(firstId)
  const perMs = length > 1 && spanMs > 0 ? length / spanMs : Number.POSITIVE_INFINITY
  const estimate = Math.round((idTimeMs(trimmed) - idTimeMs(position)) * perMs)
  const events = Number.isNaN(estimate) ? 1 : Math.min(Math.max(estimate, 1), lost)
  return { from: position, to: trimmed, events, known: false }
}

/** Tells whoever listens. */
export function reportGap(
  { from, to, events, known }: Gap,
  facts: { readonly stream: string; readonly name: string },
): void {
  channels.gap.publish({ ...facts, from, to, events, known })
}

/** For owners who chose to stop there. */
export function gapError(
  { from, to, events, known }: Gap,
  facts: { readonly stream: string; readonly name: string },
): MillraceError {
  const count = known ? String(events) : `about ${events}`
  return new MillraceError(
    'GAP',
    `Retention removed ${count} events after ${from} up to ${to} before ${facts.name} had processed them`,
    { ...facts, gap: { from, to, events, known } },
  )
}
