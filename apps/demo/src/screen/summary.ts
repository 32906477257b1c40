import { migrationSummary } from './migration-summary.ts'
import type { Report } from '../proof/report.ts'
import { count, milliseconds, seconds, table } from './table.ts'

/** The outcome in words and figures. */
export function summary(report: Report): string[] {
  const heading = [
    '',
    'received',
    'distinct',
    'lost',
    'out of order',
    'duplicates',
    'p50 ms',
    'p99 ms',
  ]
  const rows = Object.entries(report.consumers).map(([name, one]) => [
    name,
    count(one.received),
    count(one.distinct),
    count(one.lost),
    count(one.outOfOrder),
    count(one.duplicates),
    milliseconds(one.p50Ms ?? undefined),
    milliseconds(one.p99Ms ?? undefined),
  ])
  return [
    '',
    `${count(report.published)} flight updates were published`,
    '',
    ...table([heading, ...rows]),
    '',
    ...recovery(report),
    ...(report.migration === null ? [] : migrationSummary(report.migration)),
    verdict(report),
  ]
}

function recovery({
  recovery: { boardRestartMs, workerTakeoverMs, workerEvents },
}: Report): string[] {
  const lines: string[] = []
  if (boardRestartMs !== null) {
    lines.push(
      `departures-board: killed and started again; handled events ${seconds(boardRestartMs)} after the kill.`,
      '  What was published meanwhile reached it late and is not in its p50 and p99.',
    )
  }
  if (workerTakeoverMs !== null) {
    lines.push(
      `worker-4: killed for good; others had handled its ${count(workerEvents ?? 0)} events ${seconds(workerTakeoverMs)} after the kill.`,
    )
  } else if (workerEvents === 0) {
    lines.push('worker-4: killed for good; it had no events in hand.')
  }
  return lines.length === 0 ? [] : [...lines, '']
}

function verdict({ ok, published, publishedOutOfOrder }: Report): string {
  if (ok) return 'Nothing was lost, nothing was out of order.'
  if (published === 0) return 'Nothing was published, so nothing is proven.'
  if (publishedOutOfOrder > 0)
    return `${count(publishedOutOfOrder)} events are in the stream out of order.`
  return 'Something was LOST or OUT OF ORDER: see the table.'
}
