/**
 * When the tail should read again, decided from how fast events come. While they are rarer than the
 * latency budget each is fetched at once. When they come so often that every read would carry one or
 * two, the tail waits within the budget, so that one read (and one wake-up of this process) carries
 * some sixteen: that is most of the CPU of many small processes.
 */
export interface Pace {
  /** Events per millisecond, smoothed. */
  readonly rate: number
  /** When the last read came back with events, by the monotonic clock. */
  readonly lastReadMs: number
  /** How many reads in a row came back with events as soon as they could. */
  readonly promptReads: number
}

/** Of Readers and Consumers, in milliseconds: 120 in twelve processes still hear of an event within 50 ms. */
export const DEFAULT_LATENCY_BUDGET_MS = 35

/** What one read should carry before waiting stops paying. */
const WORTHWHILE_EVENTS = 16
/** How much the newest reading counts. */
const WEIGHT = 0.2
/** Above so many streams the read itself is costly (every key is listed and blocked on each time). */
const MANY_STREAMS = 128
const MANY_STREAMS_WAIT_MS = 10
const PROMPT_READS = 128
/** Longer waits cost little anyway, and the connection must not seem dead meanwhile. */
const MOST_AT_SERVER_MS = 250

export function initialPace(nowMs: number): Pace {
  return { rate: 0, lastReadMs: nowMs, promptReads: 0 }
}

/** Takes in a read that brought `events` events after a wait of `waitMs`. */
export function paceAfterRead(pace: Pace, events: number, nowMs: number, waitMs = 0): Pace {
  const elapsedMs = Math.max(nowMs - pace.lastReadMs, 0.5)
  const current = events / elapsedMs
  // After a silence the old rate says nothing; the new reading counts in full.
  const weight = elapsedMs > 1_000 ? 1 : WEIGHT
  return {
    rate: pace.rate + weight * (current - pace.rate),
    lastReadMs: nowMs,
    promptReads: elapsedMs < waitMs * 2 ? pace.promptReads + 1 : 0,
  }
}

/**
 * How much of the wait the server may do, in milliseconds, which spares this process a wake-up, half of what a
 * read costs it. 0 for none. The server notices that the time is over when something happens there, the next
 * event at the latest, so it is asked for as much less. It must not be asked where events come in bursts: the
 * last ones of a burst would wait for its next look at the clock, a tenth of a second at most. After so many
 * prompt reads, those are less than one event in a hundred.
 */
export function waitAtServer({ promptReads, rate }: Pace, waitMs: number): number {
  if (promptReads < PROMPT_READS || waitMs > MOST_AT_SERVER_MS) return 0
  const delayMs = Math.floor(waitMs - 1 / rate)
  return delayMs < waitMs / 2 ? 0 : delayMs
}

/** How long to wait before the next read, in milliseconds. */
export function waitBeforeRead(pace: Pace, budgetMs: number, streams: number): number {
  const leastMs = streams > MANY_STREAMS && pace.rate > 0 ? MANY_STREAMS_WAIT_MS : 0
  const expectedInBudget = pace.rate * budgetMs
  if (expectedInBudget <= 1) return leastMs
  const waitMs = Math.min(budgetMs, WORTHWHILE_EVENTS / pace.rate)
  // Timers have a resolution of a millisecond; below that reads fill up by themselves.
  return Math.max(leastMs, waitMs < 1 ? 0 : waitMs)
}
