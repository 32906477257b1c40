/**
 * The smallest sample that at least this share of all samples do not exceed; undefined without samples.
 * @param share from 0 to 1
 */
export function percentile(samples: readonly number[], share: number): number | undefined {
  const sorted = Float64Array.from(samples).toSorted()
  return sorted[Math.max(Math.ceil(sorted.length * share) - 1, 0)]
}
