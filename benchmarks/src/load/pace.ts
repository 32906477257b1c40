import { performance } from 'node:perf_hooks'

export interface Pace {
  readonly perSecond: number
  readonly events: number
  /** How many are sent at once, so many times rarer. */
  readonly atOnce: number
}

/**
 * Calls `send` at a fixed pace, whether or not earlier calls have been answered: a slow server must
 * not slow down what it is measured with. Resolves when all are answered, with how long sending took.
 */
export async function sendPaced(
  pace: Pace,
  send: (from: number, to: number) => Promise<unknown>,
): Promise<{ readonly elapsedMs: number }> {
  const { perSecond, events, atOnce } = pace
  const everyMs = (1_000 * atOnce) / perSecond
  const startMs = performance.now()
  const outstanding: Promise<unknown>[] = []
  for (let from = 0, turn = 0; from < events; from += atOnce, turn += 1) {
    const waitMs = startMs + turn * everyMs - performance.now()
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs))
    outstanding.push(send(from, Math.min(from + atOnce, events)))
  }
  const elapsedMs = performance.now() - startMs
  await Promise.all(outstanding)
  return { elapsedMs }
}
