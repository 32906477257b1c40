import type { Millrace } from '@millrace/runtime'

/**
 * How the moments of this process look on Redis' clock. Until that was measured both machines' clocks are
 * taken to be the same. Afterwards this machine's clock may be set without any effect: only the monotonic
 * one counts.
 */
export class ServerClock {
  #offsetMs: number | undefined
  /** What the monotonic clock lacks to Redis' time. */
  #toServerMs: number | undefined

  /** How far this machine's clock is ahead of Redis', in milliseconds; undefined until it was measured. */
  get offsetMs(): number | undefined {
    return this.#offsetMs
  }

  /** What has to be added to a moment of the monotonic clock to have Redis' milliseconds since 1970. */
  ofMonotonicMs(): number {
    return this.#toServerMs ?? Date.now() - performance.now()
  }

  /** Measures anew; what was measured before stays where Redis cannot be asked. */
  async measure(millrace: Pick<Millrace, 'clockOffset'>): Promise<void> {
    try {
      const { offsetMs } = await millrace.clockOffset()
      this.#offsetMs = offsetMs
      this.#toServerMs = Date.now() - performance.now() - offsetMs
    } catch {
      // Redis is away; clocks do not part quickly.
    }
  }
}
