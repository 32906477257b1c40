import type { MigrationReport, PollerFigures, WholeFigures } from '../migration/migration-report.ts'
import { count, milliseconds, table } from './table.ts'

/** Before and after, in figures. */
export function migrationSummary(report: MigrationReport): string[] {
  const { stretchS, written, switches, pollers, before, after } = report
  const heading = [
    '',
    'p50 ms',
    'p99 ms',
    'requests/s',
    'CPU s',
    'lost',
    'repeated',
    'out of order',
  ]
  const rows = pollers.flatMap(({ name, lost, repeated, outOfOrder, ...figures }) => [
    [`${name}, polling`, ...cells(figures.before), '', '', ''],
    [
      `${name}, fed by the stream`,
      ...cells(figures.after),
      count(lost),
      count(repeated),
      count(outOfOrder),
    ],
  ])
  return [
    `${count(written)} flights were written while three services moved, ${count(switches)} switches in all`,
    '',
    ...table([heading, ...rows]),
    '',
    ...table([
      [
        'all processes and Redis',
        'requests/s',
        `CPU s in ${stretchS.toFixed(1)} s`,
        'memory MiB',
        'processes',
      ],
      ['before', ...wholeCells(before)],
      ['after', ...wholeCells(after)],
    ]),
    'Three pollers that take hundreds of flights at a time cost little CPU; the stream hands over each at once.',
    '',
  ]
}

function cells({ p50Ms, p99Ms, requestsPerS, cpuS }: PollerFigures): string[] {
  return [
    milliseconds(p50Ms ?? undefined),
    milliseconds(p99Ms ?? undefined),
    requestsPerS.toFixed(1),
    cpuS.toFixed(2),
  ]
}

function wholeCells({ requestsPerS, cpuS, memoryBytes, processes }: WholeFigures): string[] {
  return [
    requestsPerS.toFixed(1),
    cpuS.toFixed(2),
    (memoryBytes / 1_048_576).toFixed(0),
    count(processes),
  ]
}
