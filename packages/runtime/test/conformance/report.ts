import { appendFileSync } from 'node:fs'
import type { Account } from './at-work.ts'

/** Writes figures of a case down where `MILLRACE_TEST_FIGURES` says, a line of JSON each; by default nowhere. */
export function report(name: string, figures: Readonly<Record<string, number>>): void {
  const file = process.env['MILLRACE_TEST_FIGURES']
  if (file !== undefined) appendFileSync(file, `${JSON.stringify({ case: name, ...figures })}\n`)
}

export function reportAccount(name: string, { stored, lostByRedis, board, pool }: Account): void {
  report(name, {
    stored: stored.length,
    lostByRedis,
    duplicatesOfConsumer: board.duplicates,
    duplicatesOfGroup: pool.duplicates,
  })
}
