import type { Report } from '../../src/harness/report.ts'
import type { Sample } from '../../src/harness/samples.ts'
import type { Results } from '../../src/report/results.ts'

const environment: Report['environment'] = {
  machine: 'Some <fast> processor, linux x64',
  cpus: 2,
  memoryGiB: 24,
  loadBefore: 0.12,
  node: 'v24.0.0',
  redis: 'Redis 7.0.15',
  commit: '0123456789abcdef0123456789abcdef01234567',
  date: '2026-01-02T03:04:05.000Z',
}

/** A result of the benchmark with nothing in it but what is given. */
export function sampleResult(benchmark: string, findings: Partial<Report> = {}): Report {
  return { benchmark, criteria: [], ratios: {}, values: {}, rounds: [], environment, ...findings }
}

export function sampleCriterion(
  id: string,
  given: Partial<Report['criteria'][number]> = {},
): Report['criteria'][number] {
  return {
    id,
    measured: 12.345,
    limit: 20,
    unit: 'ms',
    pass: true,
    direction: 'at most',
    bound: 'target',
    ...given,
  }
}

export function resultsOf(...results: readonly Report[]): Results {
  return new Map(results.map((result) => [result.benchmark, result]))
}

const seconds = Array.from({ length: 600 }, (_, at): [number, number] => [at, at % 50])

/** Something to draw of each kind. */
export const drawable: Results = resultsOf(
  sampleResult('latency', {
    criteria: [sampleCriterion('sc_001_p99_default_budget')],
    ratios: { p50_vs_floor: 1.1 },
    rounds: ['floor', 'at_once', 'default_budget'].flatMap((variant, index) =>
      rounds(variant, {
        p1Ms: 0.1 + index,
        p50Ms: 0.2 + index,
        p90Ms: 0.5 + index,
        p99Ms: 1 + index,
        p999Ms: 3 + index * 10,
      }),
    ),
  }),
  sampleResult('throughput', {
    rounds: ['publish', 'publish_floor', 'group_like_bullmq', 'bullmq'].flatMap((variant, index) =>
      rounds(variant, { perSecond: 200_000 / (index + 1) }),
    ),
  }),
  sampleResult('fanout', {
    rounds: ['1', '10', '100', '1000', '120_in_12'].flatMap((n) =>
      rounds(`consumers_${n}`, { publishPerSecond: 100_000, redisCpuUs: 20, p99Ms: n.length }),
    ),
  }),
  sampleResult('recovery', {
    rounds: ['restart', 'standby_elsewhere'].flatMap((variant, index) =>
      rounds(variant, { resumedMs: 900 + index * 4_000 }),
    ),
    series: [
      {
        name: 'restart',
        unit: 's that events waited',
        points: [
          [-1, 0.001],
          [0, 0.9],
          [1, 0.002],
        ],
      },
    ],
    notes: ['a table  of <words>'],
  }),
  sampleResult('resources', {
    values: { memory_mib_millrace_12p: 700, memory_mib_poll_12p: 1_500 },
    rounds: [
      ...[0, 0.1, 10].map((rate) => cell(`publishing_${String(rate).replace('.', '_')}eps`, rate)),
      ...[0.1, 10].flatMap((rate) => {
        const place = `12p_${String(rate).replace('.', '_')}eps`
        return [
          cell(`millrace_${place}`, 20 + rate),
          cell(`poll_http_${place}_100ms`, 400),
          cell(`poll_http_${place}_1000ms`, 40),
          cell(`poll_redis_${place}_1000ms`, 25),
        ]
      }),
    ],
  }),
  sampleResult('k6', { values: { event_latency_p99Ms: 30, old_event_latency_p99Ms: 990 } }),
  sampleResult('peers', {
    ratios: { throughput_vs_bullmq: 9, throughput_vs_nats_jetstream: 0.8, p99_vs_bullmq: 0.5 },
    values: { millrace_recoveredMs: 900, bullmq_recoveredMs: 300 },
    rounds: ['millrace', 'bullmq'].flatMap((name) =>
      [
        rounds(`${name}_flow`, { perSecond: 90_000, cpuUs: 12, clientsMemoryMiB: 180 }),
        rounds(`${name}_latency`, { p99Ms: 1.2 }),
        rounds(`${name}_recovery`, { recoveredMs: 900 }),
      ].flat(),
    ),
  }),
  sampleResult('backpressure', {
    series: ['delay', 'spool'].map((policy) => ({
      name: `${policy}: stream length`,
      unit: 'events',
      bound: 30_000,
      points: seconds,
    })),
  }),
)

function cell(variant: string, cpuMsPerSecond: number): Sample {
  return { round: 1, variant, figures: { cpuMsPerSecond, memoryMiB: 900 } }
}

function rounds(variant: string, figures: Sample['figures']): Sample[] {
  return [1, 2, 3].map((round) => ({
    round,
    variant,
    figures: Object.fromEntries(
      Object.entries(figures).map(([name, value]) => [name, value * (1 + round / 100)]),
    ),
  }))
}
