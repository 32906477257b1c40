import type { Core } from '../core.ts'

/** How this machine's clock stands to that of Redis. */
export interface ClockOffset {
  /** How far it is ahead, in milliseconds; negative when it is behind. */
  readonly offsetMs: number
  /** How far off that may be: half of the time that asking took, in milliseconds. */
  readonly uncertaintyMs: number
}

/** Asks Redis for its time, and takes it to be that of the middle between question and answer. */
export function measureClockOffset(
  core: Core,
  signal: AbortSignal | undefined,
): Promise<ClockOffset> {
  return core.connections.call(
    'data',
    '',
    async (session) => {
      const sentMs = core.clock.monotonicMs()
      const reply = await session.client.call('time')
      const tookMs = core.clock.monotonicMs() - sentMs
      const [seconds, microseconds] = reply as readonly [string, string]
      const serverMs = Number(seconds) * 1_000 + Number(microseconds) / 1_000
      return { offsetMs: Date.now() - tookMs / 2 - serverMs, uncertaintyMs: tookMs / 2 }
    },
    { signal },
  )
}
