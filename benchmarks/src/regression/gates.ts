/** A ratio to a floor, and how far it may go. */
export interface Gate {
  readonly id: string
  readonly variant: string
  readonly floor: string
  readonly figure: 'clientCpuUs' | 'perSecond' | 'redisCpuUs'
  readonly direction: 'at least' | 'at most'
  readonly limit: number
  /** For runs so short that compiling is part of what is measured. */
  readonly quick: number
}

/**
 * What the ratios were when the limits were last set. To be set anew, on a machine that does nothing else,
 * when a path becomes faster: what is lost later is not noticed otherwise.
 */
const usual = Object.freeze({
  publish: { clientCpuUs: 0.52, redisCpuUs: 1.75, perSecond: 1.3 },
  consume: { clientCpuUs: 1.5, redisCpuUs: 0.48, perSecond: 0.8 },
  group: { clientCpuUs: 1.75, redisCpuUs: 1.55, perSecond: 0.6 },
})

/** Below a planted slowdown of 30 %, and above what attempts on a busy machine differ by. */
const CPU_SLACK = 1.15
/** Two processes share a machine with others, and Redis is one of them. */
const RATE_SLACK = 2
const QUICK_SLACK = 5

export const gates: readonly Gate[] = Object.entries(usual).flatMap(([variant, ratios]) => {
  const floor = variant === 'publish' ? 'publish_floor' : 'consume_floor'
  const atMost = (figure: 'clientCpuUs' | 'redisCpuUs', id: string): Gate => ({
    id: `${variant}_${id}_vs_floor`,
    variant,
    floor,
    figure,
    direction: 'at most',
    limit: ratios[figure] * CPU_SLACK,
    quick: ratios[figure] * QUICK_SLACK,
  })
  const rate: Gate = {
    id: `${variant}_rate_vs_floor`,
    variant,
    floor,
    figure: 'perSecond',
    direction: 'at least',
    limit: ratios.perSecond / RATE_SLACK,
    quick: ratios.perSecond / QUICK_SLACK,
  }
  return [atMost('clientCpuUs', 'client_cpu'), atMost('redisCpuUs', 'redis_cpu'), rate]
})
