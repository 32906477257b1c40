import { type Levels, memoryShare } from './levels.ts'
import type { Marks, MarksByMeasure } from './options.ts'
import type { PressureFigures } from './pressure.ts'

/** What is known when a producer has to decide how fast it goes on, and when it asks again. */
export interface Situation {
  readonly levels: Levels
  readonly figures: PressureFigures | undefined
  readonly marks: MarksByMeasure
  /** How fast the slowest reader works, if that is known. */
  readonly drainPerSecond: number | undefined
  /** How fast the producer went before the pressure. */
  readonly freelyPerSecond: number
}

/**
 * How many events per second a delayed producer may publish. At `high` it is what the slowest reader drains,
 * so that the lag stays there; above, less, down to nothing at `critical`; below, up to twice as much. When
 * several producers do the same, the lag settles between `high` and `critical`.
 */
export function allowedPerSecond(situation: Situation): number {
  const { levels, figures, marks, drainPerSecond, freelyPerSecond } = situation
  if (levels.outOfMemory) return 0
  if (figures === undefined) return Number.POSITIVE_INFINITY
  const base = drainPerSecond ?? freelyPerSecond
  let allowed = Number.POSITIVE_INFINITY
  if (levels.lagEvents !== 'normal' && marks.lagEvents !== undefined) {
    const room = Math.max(marks.lagEvents.critical - figures.lagEvents, 0)
    const paced = part(base, factor(figures.lagEvents, marks.lagEvents))
    // Of readers that stand still the room that is left is used up slowly.
    allowed = Math.min(allowed, Math.max(paced, room / USE_UP_SECONDS))
  }
  if (levels.lagMs !== 'normal' && marks.lagMs !== undefined) {
    const share = factor(figures.lagMs, marks.lagMs)
    allowed = Math.min(allowed, Math.max(part(base, share), share > 0 ? LEAST_PER_SECOND : 0))
  }
  const memory = memoryShare(figures)
  if (levels.memory !== 'normal' && marks.memory !== undefined && memory !== undefined) {
    allowed = Math.min(allowed, part(freelyPerSecond, factor(memory, marks.memory)))
  }
  return allowed
}

/** Of a rate that may be without end. */
function part(perSecond: number, share: number): number {
  return share === 0 ? 0 : perSecond * share
}

/** 1 at `high`, 0 from `critical` on, 2 at `low`. */
function factor(value: number, { low, high, critical }: Marks): number {
  if (value >= critical) return 0
  if (value >= high) return (critical - value) / (critical - high)
  return Math.min(1 + (high - value) / (high - low), 2)
}

/** When a refused publish may be tried again: when the slowest reader will have come down to `low`. */
export function retryAfterMs(situation: Situation): number {
  return Math.round(
    Math.min(
      Math.max(drainedInMs(situation) ?? UNKNOWN_RETRY_MS, SOONEST_RETRY_MS),
      LATEST_RETRY_MS,
    ),
  )
}

/** In how long the lag will be down to `low`, if nobody publishes; undefined when that is not the matter. */
function drainedInMs({
  levels,
  figures,
  marks,
  drainPerSecond = 0,
}: Situation): number | undefined {
  if (levels.outOfMemory || levels.memory !== 'normal' || figures === undefined) return undefined
  if (drainPerSecond <= 0) return undefined
  let events = 0
  if (levels.lagEvents !== 'normal' && marks.lagEvents !== undefined)
    events = figures.lagEvents - marks.lagEvents.low
  if (levels.lagMs !== 'normal' && marks.lagMs !== undefined && figures.lagMs > 0) {
    // Of these events about so many are older than they may be.
    events = Math.max(events, figures.lagEvents * (1 - marks.lagMs.low / figures.lagMs))
  }
  return (Math.max(events, 0) / drainPerSecond) * 1_000
}

/** After how many more events to ask again although little time has passed: well before the next mark. */
export function askAfterEvents({ levels, figures, marks }: Situation): number {
  const of = marks.lagEvents
  if (of === undefined) return Number.POSITIVE_INFINITY
  if (figures === undefined) return 0
  // Above the last mark the time decides.
  if (levels.lagEvents === 'critical') return Number.POSITIVE_INFINITY
  const next = levels.lagEvents === 'normal' ? of.high : of.critical
  return Math.max((next - figures.lagEvents) / 2, LEAST_EVENTS)
}

/** How long to wait for the next look while nothing is published, after so many in vain. */
export function probeInMs(situation: Situation, inVain: number): number {
  const growing = Math.min(FIRST_PROBE_MS * 2 ** inVain, LONGEST_PROBE_MS)
  const expected = drainedInMs(situation)
  // Half-way is soon enough to notice that it goes faster, or that it takes longer.
  return expected === undefined
    ? growing
    : Math.min(growing, Math.max(expected / 2, FIRST_PROBE_MS))
}

/** At most so often a batch asks for figures, unless a watermark is near. */
export const ASK_EVERY_MS: number = 250

/** Never sooner than this: with a hundred readers the figures cost as much as two batches. */
export const SOONEST_ASK_MS: number = 25

const USE_UP_SECONDS = 60
const LEAST_PER_SECOND = 1
const LEAST_EVENTS = 512
const UNKNOWN_RETRY_MS = 1_000
const SOONEST_RETRY_MS = 50
const LATEST_RETRY_MS = 30_000
const FIRST_PROBE_MS = 250
const LONGEST_PROBE_MS = 5_000
