import { performance } from 'node:perf_hooks'

/** How long something took, and the CPU time this process spent on it. */
export interface Lap {
  readonly elapsedMs: number
  readonly cpuMs: number
}

/** Starts to measure; the function it answers with ends it. */
export function stopwatch(): () => Lap {
  const startMs = performance.now()
  const startUsage = process.cpuUsage()
  return () => {
    const { user, system } = process.cpuUsage(startUsage)
    return { elapsedMs: performance.now() - startMs, cpuMs: (user + system) / 1_000 }
  }
}
