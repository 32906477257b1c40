import { settings } from './settings.ts'

/** What k6 hands to `handleSummary`, as far as it is used here. */
export interface SummaryData {
  readonly metrics: Readonly<Record<string, { readonly values: Readonly<Record<string, number>> }>>
}

interface Criterion {
  readonly id: string
  readonly measured: number
  readonly limit: number
  readonly unit: string
  readonly pass: boolean
  readonly direction: 'at least' | 'at most'
  readonly bound: 'quick' | 'target'
}

export interface Expected {
  readonly events: number
  readonly deliveries: number
}

/** In the shape of the other benchmarks' `--json` files. */
export function reportOf(data: SummaryData, { events, deliveries }: Expected): unknown {
  // What was never counted is 0; a time that was never measured must not pass.
  const count = (metric: string): number => data.metrics[metric]?.values['count'] ?? 0
  const time = (metric: string, stat: string): number =>
    count(metric) === 0 ? Number.MAX_VALUE : (data.metrics[metric]?.values[stat] ?? 0)
  const rate = (metric: string): number => data.metrics[metric]?.values['rate'] ?? 0
  const bound = settings.isQuick ? 'quick' : 'target'
  const atMost = (id: string, measured: number, limit: number, unit: string): Criterion => {
    return { id, measured, limit, unit, pass: measured <= limit, direction: 'at most', bound }
  }
  const atLeast = (id: string, measured: number, limit: number, unit: string): Criterion => {
    return { id, measured, limit, unit, pass: measured >= limit, direction: 'at least', bound }
  }
  const p99 = time('event_latency', 'p(99)')
  const { latencyP99Ms, publishP99Ms, handledShare, consumers } = settings
  const criteria = [
    atMost('sc_001_p99_long_poll', p99, latencyP99Ms, 'ms'),
    atLeast('sc_001_delivered', count('delivered'), deliveries, 'events'),
    atLeast('sc_002_complete_consumers', count('complete_consumers'), consumers, 'consumers'),
    atMost('sc_002_publish_p99', time('publish_duration', 'p(99)'), publishP99Ms, 'ms'),
    atLeast('sc_002_published', count('published'), events, 'events'),
    atMost('sc_002_dropped_iterations', count('dropped_iterations'), 0, 'calls'),
    atLeast('sc_006_handled_within_100_ms', rate('handled_within_100_ms'), handledShare, 'of all'),
    atMost('delivered_again', count('delivered_again'), 0, 'events'),
    atLeast('checks_passed', rate('checks'), 1, 'of all'),
  ]
  const figures = ['med', 'p(95)', 'p(99)', 'max'] as const
  const values = Object.fromEntries([
    ...['event_latency', 'old_event_latency', 'publish_duration'].flatMap((metric) =>
      figures.map((stat) => [`${metric}_${nameOf(stat)}Ms`, time(metric, stat)]),
    ),
    ...['delivered', 'old_delivered', 'long_poll_requests', 'old_requests'].map((metric) => [
      metric,
      count(metric),
    ]),
  ])
  return {
    benchmark: 'k6',
    criteria,
    ratios: {
      p50_vs_old_polls: time('event_latency', 'med') / time('old_event_latency', 'med'),
      p99_vs_old_polls: p99 / time('old_event_latency', 'p(99)'),
      requests_vs_old_polls: count('long_poll_requests') / Math.max(count('old_requests'), 1),
    },
    values,
    rounds: [],
    environment: settings.environment,
  }
}

function nameOf(stat: string): string {
  return stat === 'med' ? 'p50' : stat.replace(/[()]/g, '')
}
