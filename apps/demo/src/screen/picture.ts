import { type Cast, consumers, REBOOKING, STATISTICS, WORKERS, BOARD } from '../cast.ts'
import type { Ledger } from '../proof/ledger.ts'
import type { Picture } from './screen.ts'
import { count, milliseconds, table } from './table.ts'

export interface View {
  readonly ledger: Ledger
  readonly cast: Cast
  readonly elapsedMs: number
}

/** Draws who has seen what, how far behind it is, and how long events take to reach it. */
export function draw(view: View): Picture {
  return { lines: drawing(view), oneLine: sentence(view) }
}

function drawing({ ledger, cast, elapsedMs }: View): string[] {
  const heading = ['', 'handled', 'lag', 'duplicates', 'p50 ms', 'p99 ms', 'process']
  const rows = [...ledger.consumers].map(([name, tally]) => [
    name,
    count(tally.distinct),
    count(lag(ledger, tally.distinct)),
    count(tally.duplicates),
    milliseconds(tally.recentLatencyMs(0.5)),
    milliseconds(tally.recentLatencyMs(0.99)),
    processesOf(cast, name),
  ])
  const statuses = cast.processes
    .filter(({ running, status }) => !running || status !== '')
    .map(({ name, running, killed, status }) => [
      name,
      running ? status : killed ? 'killed' : 'finished',
    ])
  const width = Math.max(...statuses.map(([name]) => name?.length ?? 0), 0)
  return [
    '',
    `${(elapsedMs / 1_000).toFixed(1)} s, ${count(ledger.published.count)} published`,
    '',
    ...table([heading, ...rows]),
    '',
    ...statuses.map(([name = '', status = '']) => `${name.padEnd(width)}  ${status}`),
  ]
}

function sentence({ ledger, elapsedMs }: View): string {
  const parts = consumers.map(({ name }) => {
    const tally = ledger.consumers.get(name)
    const handled = tally?.distinct ?? 0
    const latencies = [0.5, 0.99].map((share) => milliseconds(tally?.recentLatencyMs(share)))
    return `${name} ${count(handled)} (lag ${count(lag(ledger, handled))}, p50/p99 ${latencies.join('/')} ms)`
  })
  const published = count(ledger.published.count)
  return `${(elapsedMs / 1_000).toFixed(1)} s: ${published} published; ${parts.join(', ')}`
}

function lag(ledger: Ledger, handled: number): number {
  return Math.max(ledger.published.count - handled, 0)
}

const namesOf: Readonly<Record<string, (name: string) => boolean>> = {
  [BOARD]: (name) => name.startsWith(BOARD),
  [STATISTICS]: (name) => name === STATISTICS,
  [REBOOKING]: (name) => WORKERS.includes(name),
}

function processesOf(cast: Cast, consumer: string): string {
  const alive = cast.processes.filter(({ name, running }) => running && namesOf[consumer]?.(name))
  if (alive.length === 0) return 'dead'
  return alive.length === 1 ? String(alive[0]?.pid) : `${alive.length} alive`
}
