import type { Report } from '../../harness/report.ts'
import type { Plot } from '../plots/plot.ts'
import { measured } from './measured.ts'

const shares: readonly (readonly [share: number, figure: string])[] = [
  [0.01, 'p1Ms'],
  [0.1, 'p10Ms'],
  [0.25, 'p25Ms'],
  [0.5, 'p50Ms'],
  [0.75, 'p75Ms'],
  [0.9, 'p90Ms'],
  [0.95, 'p95Ms'],
  [0.99, 'p99Ms'],
  [0.999, 'p999Ms'],
]

const names: Readonly<Record<string, string>> = {
  floor: 'by hand, with ioredis',
  at_once: 'Millrace, latency budget 0',
  default_budget: 'Millrace, default budget',
  bursts: 'Millrace, bursts of 250',
}

/** The whole distribution: how long all but so many of the events took at most. */
export function latencyPlots(result: Report): Plot[] {
  const lines = new Map<string, [number, number][]>()
  for (const [share, figure] of shares) {
    for (const { variant, value } of measured(result, figure)) {
      lines.set(variant, [...(lines.get(variant) ?? []), [share, value]])
    }
  }
  if (lines.size === 0) return []
  return [
    {
      kind: 'lines',
      title: 'From publish to the handler: the distribution of latencies',
      x: { label: 'of the events took at most …', scale: 'nines' },
      y: { label: 'ms', scale: 'log' },
      lines: [...lines].map(([variant, points]) => ({ name: names[variant] ?? variant, points })),
    },
  ]
}
