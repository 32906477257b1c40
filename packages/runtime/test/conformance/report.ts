import { appendFileSync } from 'node:fs'

/** Writes figures of a case down where `MILLRACE_TEST_FIGURES` says, a line of JSON each; by default nowhere. */
export function report(name: string, figures: Readonly<Record<string, number>>): void {
  const file = process.env['MILLRACE_TEST_FIGURES']
  if (file !== undefined) appendFileSync(file, `${JSON.stringify({ case: name, ...figures })}\n`)
}
