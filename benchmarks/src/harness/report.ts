import type { Criterion } from './criterion.ts'
import type { Environment } from './environment.ts'
import { figure } from './figure.ts'
import type { Sample } from './samples.ts'
import { plot, type Series } from './plot.ts'
import { table } from './table.ts'

/** What a benchmark found out. */
export interface Findings {
  readonly criteria: readonly Criterion[]
  readonly ratios: Readonly<Record<string, number>>
  readonly values: Readonly<Record<string, number>>
  readonly rounds: readonly Sample[]
  /** What was measured over time, where that was the point. */
  readonly series?: readonly Series[]
  /** Tables and sentences for a person, beside what all benchmarks have. */
  readonly notes?: readonly string[]
}

/** The content of the `--json` file. */
export interface Report extends Findings {
  readonly benchmark: string
  readonly environment: Environment
}

/** The report for a person. */
export function describe(report: Report): string {
  const { environment, criteria, ratios, values } = report
  return [
    ...(report.series ?? []).map(plot),
    ...(report.notes ?? []),
    `${report.benchmark} on ${environment.machine}, ${environment.cpus} CPUs, Node ${environment.node}, ${environment.redis}`,
    table(
      ['value', ''],
      Object.entries(values).map(([name, value]) => [name, figure(value)]),
    ),
    table(
      ['ratio', ''],
      Object.entries(ratios).map(([name, value]) => [name, figure(value)]),
    ),
    table(
      ['criterion', 'measured', 'limit', 'bound', ''],
      criteria.map((one) => [
        one.id,
        `${figure(one.measured)} ${one.unit}`.trimEnd(),
        `${one.direction} ${figure(one.limit)}`,
        one.bound,
        one.pass ? 'pass' : 'FAIL',
      ]),
    ),
  ].join('\n\n')
}
