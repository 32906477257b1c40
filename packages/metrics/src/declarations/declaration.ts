/** Where a metric is measured: inside a process that uses Millrace, or from outside, for the whole fleet. */
export type MetricSource = 'process' | 'fleet'

/** What a value counts or measures, in Prometheus' base units. */
export type MetricUnit =
  | 'seconds'
  | 'bytes'
  | 'events'
  | 'deliveries'
  | 'handlers'
  | 'connections'
  | 'members'
  | 'groups'
  | 'streams'
  | 'commands'
  | 'ratio'
  /** A point in time, in seconds since 1970. */
  | 'timestamp'
  /** 1 or 0: something is so, or is not. */
  | 'state'
  /** The milliseconds of a stream id, or another figure of Redis as it is. */
  | 'id'
  /** Occurrences of what the metric is named after. */
  | 'occurrences'

/**
 * One metric, described once: the registries, the OpenTelemetry instruments and the page in the docs all
 * follow from it.
 */
export interface Declaration<Label extends string = string> {
  readonly source: MetricSource
  /** The name in Prometheus. Counters end in `_total`; seconds, bytes and ratios say so in their names. */
  readonly name: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly unit: MetricUnit
  readonly labels: readonly Label[]
  /** What a value says. One sentence without a full stop: it is the metric's help text as well. */
  readonly meaning: string
  /** When to worry, for someone who has been woken up. Empty where the metric only explains others. */
  readonly worry: string
  /** Upper bounds of a histogram. */
  readonly buckets?: readonly number[]
  /** The instrument's name in OpenTelemetry, where the metric is given there as well. */
  readonly openTelemetry?: string
}

/** Problems of a declaration, for people who write one. Empty when it keeps the conventions. */
export function problemsOf(declaration: Declaration): string[] {
  const { name, type, unit, labels, meaning, buckets } = declaration
  const problems: string[] = []
  const expect = (holds: boolean, problem: string): void => {
    if (!holds) problems.push(`${name}: ${problem}`)
  }
  expect(/^[a-z][a-z0-9_]*$/.test(name), 'a name has lower-case letters, digits and underscores')
  expect(name.endsWith('_total') === (type === 'counter'), 'counters, and only they, end in _total')
  const stem = name.replace(/_total$/, '')
  const isTimestamp = unit === 'timestamp'
  expect(stem.endsWith('_timestamp_seconds') === isTimestamp, 'points in time are named as such')
  for (const named of ['seconds', 'bytes', 'ratio'] as const) {
    const isNamed = stem.endsWith(`_${named}`) && !isTimestamp
    expect(isNamed === (unit === named), `${named} are named, and nothing else is`)
  }
  expect(
    (buckets !== undefined) === (type === 'histogram'),
    'histograms, and only they, have buckets',
  )
  expect(isRising(buckets ?? []), 'buckets rise')
  expect(
    labels.every((label) => /^[a-z][a-z_]*$/.test(label)),
    'labels are lower-case words',
  )
  expect(new Set(labels).size === labels.length, 'labels are named once')
  expect(!labels.includes('le') && !labels.includes('quantile'), 'le and quantile are taken')
  expect(meaning !== '' && !meaning.endsWith('.'), 'the meaning is a sentence without a full stop')
  return problems
}

function isRising(bounds: readonly number[]): boolean {
  return bounds.every((bound, index) => index === 0 || bound > (bounds[index - 1] ?? bound))
}
