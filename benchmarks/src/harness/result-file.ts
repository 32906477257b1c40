import type { Report } from './report.ts'

/** The content of a `--json` file: a line for each point of a series, so that a long one can be committed. */
export function resultText(report: Report): string {
  return `${JSON.stringify(report, null, 2).replaceAll(PAIR, '[$1, $2]')}\n`
}

const PAIR = /\[\s+(-?[\d.eE+-]+),\s+(-?[\d.eE+-]+)\s+\]/g
