import type { FaultReport, SuiteReport } from '../report.ts'

const NAME_WIDTH = 30

export const heading: string = `${'fault'.padEnd(NAME_WIDTH)}  events   lost  out of order  duplicates  flow again`

/** One line for a fault, and one more for each problem. */
export function linesOf(report: FaultReport): readonly string[] {
  const { name, events, lost, outOfOrder, duplicates, recoveryMs, ok } = report
  const columns = [
    name.padEnd(NAME_WIDTH),
    String(events).padStart(6),
    String(lost).padStart(5),
    String(outOfOrder).padStart(12),
    String(duplicates).padStart(10),
    (recoveryMs === null ? 'never' : seconds(recoveryMs)).padStart(10),
  ]
  const line = `${columns.join('  ')}  ${ok ? 'ok' : 'FAILED'}${remarks(report)}`
  return [line, ...report.problems.map((problem) => `    ${problem}`)]
}

function remarks(report: FaultReport): string {
  const { removed, forgotten, bound, settledMs, refused, spooled } = report
  const refusals = Object.entries(refused).map(([code, count]) => `${count} refused with ${code}`)
  const said = [
    ...(removed > 0 ? [`${removed} removed by the fault`] : []),
    ...(forgotten > 0 ? [`${forgotten} lost by Redis`] : []),
    ...(spooled === null ? [] : [`${spooled} accepted by the spool`]),
    ...refusals,
    ...(bound?.until === 'settled' && settledMs !== null ? [`settled ${seconds(settledMs)}`] : []),
    ...(bound === null ? [] : [`${bound.kept ? 'within' : 'OVER'} ${seconds(bound.ms)}`]),
  ]
  return said.length === 0 ? '' : ` (${said.join(', ')})`
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(2)} s`
}

export function summaryOf({ faults, ok }: SuiteReport): string {
  const failed = faults.filter((report) => !report.ok).map(({ name }) => name)
  if (ok) return `All ${faults.length} are ok: nothing lost, nothing out of order.`
  return `${failed.length} of ${faults.length} failed: ${failed.join(', ')}`
}
