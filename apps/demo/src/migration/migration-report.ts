import type { Ledger } from '../proof/ledger.ts'
import type { Tally } from '../proof/tally.ts'
import { type Stretch, total } from './resources.ts'

/** One poller, while it was fed by polling or by the stream. */
export interface PollerFigures {
  /** From the commit in the flight system's database to the handler. */
  readonly p50Ms: number | null
  readonly p99Ms: number | null
  /** Sent to the old API. */
  readonly requestsPerS: number
  /** CPU seconds of its process in a stretch of {@link MigrationReport.stretchS}. */
  readonly cpuS: number
}

interface PollerReport {
  readonly name: string
  readonly before: PollerFigures
  readonly after: PollerFigures
  /** Rows of the table that its handler never got. */
  readonly lost: number
  /** Deliveries that repeat one that was handled. */
  readonly repeated: number
  readonly outOfOrder: number
}

/** All processes, the flight system, the bridge and Redis included. */
export interface WholeFigures {
  readonly requestsPerS: number
  readonly cpuS: number
  readonly memoryBytes: number
  readonly processes: number
}

/** What came of moving the pollers. */
export interface MigrationReport {
  /** How long each of the two stretches was that are compared, in seconds. */
  readonly stretchS: number
  readonly written: number
  readonly switches: number
  readonly pollers: readonly PollerReport[]
  readonly before: WholeFigures
  readonly after: WholeFigures
  readonly ok: boolean
}

export function makeMigrationReport(
  ledger: Ledger,
  before: Stretch,
  after: Stretch,
  switches: number,
): MigrationReport {
  const pollers = [...ledger.consumers].map(
    ([name, tally]): PollerReport => ({
      name,
      before: pollerFigures(name, tally, before),
      after: pollerFigures(name, tally, after),
      lost: tally.missing(ledger.published.sequences()),
      repeated: tally.duplicates,
      outOfOrder: tally.outOfOrder,
    }),
  )
  return {
    stretchS: rounded((after.toMs - after.fromMs) / 1_000),
    written: ledger.published.count,
    switches,
    pollers,
    before: wholeFigures(before),
    after: wholeFigures(after),
    ok: pollers.every(({ lost, outOfOrder }) => lost === 0 && outOfOrder === 0),
  }
}

function pollerFigures(name: string, tally: Tally, stretch: Stretch): PollerFigures {
  const elsewhere = [
    { fromMs: 0, toMs: stretch.fromMs },
    { fromMs: stretch.toMs, toMs: Infinity },
  ]
  return {
    p50Ms: roundedOrNull(tally.latencyMs(0.5, elsewhere)),
    p99Ms: roundedOrNull(tally.latencyMs(0.99, elsewhere)),
    requestsPerS: perSecond(stretch.requests.get(name) ?? 0, stretch),
    cpuS: rounded(stretch.cpuS.get(name) ?? 0),
  }
}

function wholeFigures(stretch: Stretch): WholeFigures {
  return {
    requestsPerS: perSecond(total(stretch.requests), stretch),
    cpuS: rounded(total(stretch.cpuS)),
    memoryBytes: total(stretch.memoryBytes),
    processes: stretch.cpuS.size,
  }
}

function perSecond(figure: number, { fromMs, toMs }: Stretch): number {
  return rounded((figure * 1_000) / (toMs - fromMs))
}

function roundedOrNull(figure: number | undefined): number | null {
  return figure === undefined ? null : rounded(figure)
}

function rounded(figure: number): number {
  return Math.round(figure * 100) / 100
}
