/** How long to wait before the next fetch; pure. */
export interface IntervalBounds {
  readonly minIntervalMs: number
  readonly maxIntervalMs: number
}

const GROWTH = 1.5
const FIRST_MS = 10

/** After news the shortest pause, then growing ones. */
export function nextIntervalMs(
  bounds: IntervalBounds,
  previousMs: number,
  brought: 'failure' | 'news' | 'nothing',
): number {
  const { minIntervalMs, maxIntervalMs } = bounds
  switch (brought) {
    case 'news':
      return minIntervalMs
    case 'nothing':
      return grown(previousMs, GROWTH)
    case 'failure':
      return grown(previousMs, 2)
    default:
      return brought satisfies never
  }

  function grown(ms: number, factor: number): number {
    return Math.min(Math.max(ms * factor, FIRST_MS, minIntervalMs), maxIntervalMs)
  }
}
