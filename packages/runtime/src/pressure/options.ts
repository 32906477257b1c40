import { oneOf, type OptionCheck, optionProblems } from '../lifecycle/options.ts'

/** What a producer does while its stream is under pressure. */
export type PressurePolicy = 'delay' | 'reject' | 'signal' | 'spool'

/** Where pressure begins, where it is over, and where it is critical: `low` < `high` < `critical`. */
export interface Watermarks {
  /** At this value and above the level is `high`, and the producer's policy begins to act. */
  readonly high: number
  /**
   * Only below this value the level is `normal` again. Too close to `high`: the level flickers.
   * @defaultValue half of `high`; for `memory` seven eighths of it
   */
  readonly low?: number
  /**
   * At this value and above the level is `critical`, until the value is below `high` again. A producer that
   * is delayed publishes nothing above it.
   * @defaultValue twice `high`; for `memory` half-way from `high` to 1
   */
  readonly critical?: number
}

/** What counts as pressure; the level is that of the worst measure. */
export interface PressureOptions {
  /**
   * Events that the slowest consumer or consumer group has not processed. A Consumer stores its position
   * every thousand events or so, so smaller figures mean nothing.
   * @defaultValue none: the number of events is not looked at
   */
  readonly lagEvents?: Watermarks
  /**
   * The age of the oldest event that some consumer has not processed, or some group not handed to a member,
   * in milliseconds by the server's clock. Below two seconds it means nothing.
   * @defaultValue none: the age is not looked at
   */
  readonly lagMs?: Watermarks
  /**
   * Share of the server's `maxmemory` that is used, from 0 to 1. Nothing is known without `maxmemory`, or
   * without the right to `INFO`.
   * @defaultValue `{ low: 0.7, high: 0.8, critical: 0.9 }`
   */
  readonly memory?: Watermarks
  /**
   * The names of the consumers and consumer groups that count, also groups that Millrace did not create.
   * @defaultValue all that Millrace created, but those that are abandoned
   */
  readonly of?: readonly string[]
}

/** {@link Watermarks}, all there. */
export interface Marks {
  readonly low: number
  readonly high: number
  readonly critical: number
}

/** The watermarks of each measure that is looked at. */
export interface MarksByMeasure {
  readonly lagEvents: Marks | undefined
  readonly lagMs: Marks | undefined
  readonly memory: Marks | undefined
}

export interface ResolvedPressureOptions {
  readonly policy: PressurePolicy
  /** Whether figures are asked for at all while nothing is wrong. */
  readonly isWatched: boolean
  readonly marks: MarksByMeasure
  /** Empty for all. */
  readonly of: readonly string[]
}

const defaults = Object.freeze({
  policy: 'signal' as const,
  memory: Object.freeze({ low: 0.7, high: 0.8, critical: 0.9 }),
})

export const pressurePolicy: OptionCheck = oneOf('signal', 'delay', 'reject', 'spool')

export function pressureProblems(options: PressureOptions): string[] {
  const problems = optionProblems(
    options,
    { lagEvents: isMarks, lagMs: isMarks, memory: isMarks, of: isNames },
    'pressure.',
  )
  if (problems.length > 0) return problems
  const { lagEvents, lagMs, memory } = options
  for (const [name, marks, most, full] of [
    ['lagEvents', lagEvents, Number.MAX_SAFE_INTEGER, lagMarks],
    ['lagMs', lagMs, Number.MAX_SAFE_INTEGER, lagMarks],
    ['memory', memory, 1, memoryMarks],
  ] as const) {
    if (marks !== undefined) problems.push(...marksProblems(`pressure.${name}`, marks, most, full))
  }
  return problems
}

/** Of options without problems. */
export function resolvePressureOptions(
  policy: PressurePolicy | undefined,
  options: PressureOptions | undefined,
): ResolvedPressureOptions {
  const isWatched = options !== undefined || (policy ?? defaults.policy) !== 'signal'
  const { lagEvents, lagMs, memory, of = [] } = options ?? {}
  return {
    policy: policy ?? defaults.policy,
    isWatched,
    marks: {
      lagEvents: lagEvents && lagMarks(lagEvents),
      lagMs: lagMs && lagMarks(lagMs),
      memory: memory === undefined ? memoryByDefault(isWatched) : memoryMarks(memory),
    },
    of,
  }
}

function memoryByDefault(isWatched: boolean): Marks | undefined {
  return isWatched ? defaults.memory : undefined
}

function lagMarks({ high, low = high / 2, critical = high * 2 }: Watermarks): Marks {
  return { low, high, critical }
}

function memoryMarks({ high, low = (high * 7) / 8, critical = (1 + high) / 2 }: Watermarks): Marks {
  return { low, high, critical }
}

function marksProblems(
  name: string,
  marks: Watermarks,
  most: number,
  full: (marks: Watermarks) => Marks,
): string[] {
  const problems = optionProblems(
    marks,
    { high: isPositive, low: isPositive, critical: isPositive },
    `${name}.`,
  )
  if (marks.high === undefined) problems.push(`${name}.high must be given`)
  if (problems.length > 0) return problems
  const { low, high, critical } = full(marks)
  if (!(low < high && high < critical)) {
    problems.push(`${name} must have low < high < critical, not ${low}, ${high}, ${critical}`)
  }
  if (critical > most) problems.push(`${name}.critical must be at most ${most}`)
  return problems
}

const isPositive: OptionCheck = (value) =>
  (typeof value === 'number' && Number.isFinite(value) && value > 0) || 'must be a number above 0'

const isMarks: OptionCheck = (value) =>
  (typeof value === 'object' && value !== null && !Array.isArray(value)) || 'must be an object'

const isNames: OptionCheck = (value) =>
  (Array.isArray(value) &&
    value.length > 0 &&
    value.length <= MOST_NAMES &&
    value.every((name) => typeof name === 'string' && name !== '')) ||
  `must be an array of 1 to ${MOST_NAMES} names`

/** They are arguments of a script call. */
const MOST_NAMES = 1_000
