import { performance } from 'node:perf_hooks'

export interface Pace {
  readonly perSecond: number
  readonly events: number
  /** How many are sent at once, so many times rarer. */
  readonly atOnce: number
  /**
   * How many of them are sent first, one after the other and as fast as they are answered, so that the
   * code is as it is in a service that has run for a while.
   * @defaultValue 0
   */
  readonly warmUp?: number
}

/**
 * Calls `send` at a fixed pace, whether or not earlier calls have been answered: a slow server must
 * not slow down what it is measured with. Resolves when all are answered, with how long sending took.
 */
export async function sendPaced(
  pace: Pace,
  send: (from: number, to: number) => Promise<unknown>,
): Promise<{ readonly elapsedMs: number }> {
  const { perSecond, events, atOnce, warmUp = 0 } = pace
  for (let i = 0; i < warmUp; i++) await send(i, i + 1)
  const everyMs = (1_000 * atOnce) / perSecond
  const startMs = performance.now()
  const outstanding: Promise<unknown>[] = []
  for (let from = warmUp, turn = 0; from < events; from += atOnce, turn += 1) {
    const waitMs = startMs + turn * everyMs - performance.now()
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs))
    outstanding.push(send(from, Math.min(from + atOnce, events)))
  }
  const elapsedMs = performance.now() - startMs
  await Promise.all(outstanding)
  return { elapsedMs }
}
