import { setTimeout as delay } from 'node:timers/promises'
import type { EventStream, Millrace } from '../../src/index.ts'
import type { Reading } from './bed.ts'
import { idsOf } from './ids-of.ts'

/** An event for which publish has answered. */
interface Accepted {
  readonly id: string
  readonly n: number
  readonly tookMs: number
  /** By the monotonic clock. */
  readonly atMs: number
}

/** Publishes steadily, without waiting for answers, while something else goes on. */
export interface Load {
  readonly accepted: readonly Accepted[]
  readonly failures: readonly { readonly n: number; readonly error: unknown }[]
  /** Publishes no more, and waits for all answers. */
  stop(): Promise<void>
}

export function startLoad(
  millrace: Millrace,
  stream: EventStream<Reading, Reading>,
  options: { readonly everyMs?: number; readonly deadlineMs?: number } = {},
): Load {
  const { everyMs = 4, deadlineMs = 30_000 } = options
  const stopping = new AbortController()
  const producer = millrace.producer(stream, { deadlineMs })
  const accepted: Accepted[] = []
  const failures: { n: number; error: unknown }[] = []
  const calls = new Set<Promise<void>>()
  const publish = async (n: number): Promise<void> => {
    const startedMs = performance.now()
    try {
      const [id = ''] = idsOf([await producer.publish({ n })])
      const atMs = performance.now()
      accepted.push({ id, n, atMs, tookMs: atMs - startedMs })
    } catch (error) {
      failures.push({ n, error })
    }
  }
  const loop = async (): Promise<void> => {
    for (let n = 0; !stopping.signal.aborted; n++) {
      const call = publish(n).finally(() => calls.delete(call))
      calls.add(call)
      await delay(everyMs)
    }
  }
  const running = loop()
  return {
    accepted,
    failures,
    async stop() {
      stopping.abort()
      await running
      await Promise.all(calls)
    },
  }
}

/** The longest time without anything, in milliseconds: how long a fault was felt. */
export function longestSilence(timesMs: readonly number[]): number {
  let longest = 0
  for (let i = 1; i < timesMs.length; i++) {
    longest = Math.max(longest, (timesMs[i] ?? 0) - (timesMs[i - 1] ?? 0))
  }
  return longest
}
