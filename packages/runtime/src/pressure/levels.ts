import type { Marks, MarksByMeasure } from './options.ts'
import type { PressureCause, PressureFigures, PressureLevel } from './pressure.ts'

/** The level of each measure; the stream's is the worst of them. SPEC.md has the states. */
export interface Levels {
  readonly lagEvents: PressureLevel
  readonly lagMs: PressureLevel
  readonly memory: PressureLevel
  /** Whether Redis has refused to store, and nothing has shown since that it does again. */
  readonly outOfMemory: boolean
}

export const CALM: Levels = Object.freeze({
  lagEvents: 'normal',
  lagMs: 'normal',
  memory: 'normal',
  outOfMemory: false,
})

/** The level after this value, from the one before. */
export function levelAfter(before: PressureLevel, value: number, marks: Marks): PressureLevel {
  if (value >= marks.critical) return 'critical'
  if (value >= marks.high) return before === 'critical' ? 'critical' : 'high'
  if (value >= marks.low) return before === 'normal' ? 'normal' : 'high'
  return 'normal'
}

/** Redis has told its figures. */
export function afterFigures(
  before: Levels,
  figures: PressureFigures,
  marks: MarksByMeasure,
): Levels {
  const share = memoryShare(figures)
  const next = (level: PressureLevel, value: number | undefined, of: Marks | undefined) =>
    value === undefined || of === undefined ? 'normal' : levelAfter(level, value, of)
  return {
    lagEvents: next(before.lagEvents, figures.lagEvents, marks.lagEvents),
    lagMs: next(before.lagMs, figures.lagMs, marks.lagMs),
    memory: next(before.memory, share, marks.memory),
    // Where memory cannot be read the next event has to find out.
    outOfMemory: before.outOfMemory && share !== undefined && share >= 1,
  }
}

/** Redis has refused an event for lack of memory. */
export function afterRefusal(before: Levels, marks: MarksByMeasure): Levels {
  // From here on its own watermarks say when that is over, or the level would flicker around the limit.
  const memory = marks.memory === undefined ? before.memory : 'critical'
  return { ...before, memory, outOfMemory: true }
}

/** Redis has stored an event. */
export function afterSuccess(before: Levels): Levels {
  return before.outOfMemory ? { ...before, outOfMemory: false } : before
}

export function levelOf({ lagEvents, lagMs, memory, outOfMemory }: Levels): PressureLevel {
  const all = new Set([lagEvents, lagMs, memory])
  if (outOfMemory || all.has('critical')) return 'critical'
  return all.has('high') ? 'high' : 'normal'
}

export function causesOf(levels: Levels): PressureCause[] {
  const causes: PressureCause[] = levels.outOfMemory ? ['outOfMemory'] : []
  for (const measure of ['lagEvents', 'lagMs', 'memory'] as const) {
    if (levels[measure] !== 'normal') causes.push(measure)
  }
  return causes
}

/** The share of the server's memory that is used; undefined when it is not known. */
export function memoryShare({ memory }: PressureFigures): number | undefined {
  return memory === undefined ? undefined : memory.usedBytes / memory.maxBytes
}
