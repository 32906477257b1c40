import { optionProblems, wholeNumber } from '../lifecycle/options.ts'

/** How long a failed event waits before its next attempt. */
export interface BackoffOptions {
  /**
   * The wait after the first failed attempt, in milliseconds. Too low: a dependency that is down is
   * hammered. Too high: a hiccup delays the event.
   * @defaultValue 200
   */
  readonly firstMs?: number
  /** The longest wait, in milliseconds, reached by multiplying. @defaultValue 30_000 */
  readonly greatestMs?: number
  /** What each further failure multiplies the wait by. @defaultValue 2 */
  readonly factor?: number
  /**
   * How much of the wait is left to chance, from 0 to 1, so that events which failed together are not
   * tried again together. It follows from the event's id, so a crash does not draw it anew.
   * @defaultValue 0.5
   */
  readonly jitter?: number
}

export interface Backoff {
  readonly firstMs: number
  readonly greatestMs: number
  readonly factor: number
  readonly jitter: number
}

const defaults: Backoff = Object.freeze({
  firstMs: 200,
  greatestMs: 30_000,
  factor: 2,
  jitter: 0.5,
})

/** Adds what is wrong with the options to `problems`, and answers them with the defaults filled in. */
export function resolveBackoff(options: BackoffOptions | undefined, problems: string[]): Backoff {
  if (options === undefined) return defaults
  const found = optionProblems(
    options,
    {
      firstMs: wholeNumber(1, 86_400_000, 'milliseconds'),
      greatestMs: wholeNumber(1, 86_400_000, 'milliseconds'),
      factor: (v) => isBetween(v, 1, 100) || 'must be a number from 1 to 100',
      jitter: (v) => isBetween(v, 0, 1) || 'must be a number from 0 to 1',
    },
    'backoff.',
  )
  problems.push(...found)
  if (found.length > 0) return defaults
  const firstMs = options.firstMs ?? defaults.firstMs
  return Object.freeze({
    firstMs,
    greatestMs: Math.max(options.greatestMs ?? defaults.greatestMs, firstMs),
    factor: options.factor ?? defaults.factor,
    jitter: options.jitter ?? defaults.jitter,
  })
}

/**
 * The wait after the failed attempt of this number (from 1), in milliseconds. A pure function of the
 * event, so that another process arrives at the same schedule after a crash.
 */
export function backoffMs(attempt: number, idHash: number, backoff: Backoff): number {
  const fullMs = Math.min(backoff.firstMs * backoff.factor ** (attempt - 1), backoff.greatestMs)
  // Another number for each attempt, or events that collide once would collide each time.
  const chance = mix(idHash ^ Math.imul(attempt, 0x9e3779b1)) / 0x1_0000_0000
  return Math.round(fullMs * (1 - backoff.jitter * chance))
}

/** A 32-bit hash of a stream id. */
export function hashOfId(id: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193)
  return mix(hash)
}

function isBetween(value: unknown, least: number, most: number): boolean {
  return typeof value === 'number' && value >= least && value <= most
}

/** Spreads neighbouring values over all 32 bits. */
function mix(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}
