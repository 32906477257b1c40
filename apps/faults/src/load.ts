import { defineStream, type EventStream } from '@millrace/runtime'

/** What is published: enough to tell every event from every other and to time it. */
export interface Beat {
  /** Unique over a whole run of the suite; rises within one producer process. */
  readonly number: number
  readonly publishedAtMs: number
}

/** How many numbers one producer process has for itself. */
const NUMBERS_PER_RUN = 10_000_000
const KEYS = 16
/** Every so many events the handlers fail at the first attempt, so that retries are on their way, too. */
const FAILING_EVERY = 499

/** The first number of a producer process, the n-th of all. */
export function firstNumber(run: number): number {
  return run * NUMBERS_PER_RUN
}

/** Order is promised among the events of one producer process. */
export function runOf(number: number): number {
  return Math.floor(number / NUMBERS_PER_RUN)
}

export function keyOf(number: number): string {
  return String(number % KEYS)
}

export function failsAtFirst(number: number): boolean {
  return number % FAILING_EVERY === FAILING_EVERY - 1
}

export function beats(name: string): EventStream<Beat> {
  return defineStream<Beat>(name, { key: ({ number }) => keyOf(number) })
}
