/** The value below which `share` (0 to 1) of the samples lie, by the nearest rank. */
export function percentile(sorted: ArrayLike<number>, share: number): number {
  const rank = Math.ceil(share * sorted.length)
  const value = sorted[Math.max(rank, 1) - 1]
  if (value === undefined) throw new Error('a percentile of no samples was asked for')
  return value
}

/** The middle value; of an even number of values the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const upper = sorted[Math.floor(sorted.length / 2)]
  const lower = sorted[Math.ceil(sorted.length / 2) - 1]
  if (upper === undefined || lower === undefined)
    throw new Error('a median of no values was asked for')
  return (upper + lower) / 2
}

export interface Spread {
  readonly p50: number
  readonly p95: number
  readonly p99: number
  readonly max: number
}

export function spreadOf(samples: Iterable<number>): Spread {
  const sorted = Float64Array.from(samples).toSorted()
  return {
    p50: percentile(sorted, 0.5),
    p95: percentile(sorted, 0.95),
    p99: percentile(sorted, 0.99),
    max: percentile(sorted, 1),
  }
}

/** The share of the samples that are at most `limit`, from 0 to 1. */
export function shareWithin(samples: ArrayLike<number>, limit: number): number {
  if (samples.length === 0) throw new Error('a share of no samples was asked for')
  let within = 0
  for (let i = 0; i < samples.length; i++) if ((samples[i] ?? Infinity) <= limit) within += 1
  return within / samples.length
}

/** The mean without that share of the values that are the greatest. */
export function trimmedMean(values: readonly number[], share: number): number {
  const kept = values
    .toSorted((a, b) => a - b)
    .slice(0, values.length - Math.floor(values.length * share))
  if (kept.length === 0) throw new Error('a mean of no values was asked for')
  return kept.reduce((sum, value) => sum + value, 0) / kept.length
}
