import type { MigrationReport } from '../migration/migration-report.ts'
import type { Ledger } from './ledger.ts'
import type { RestartRecovery, TakeoverRecovery } from './recovery.ts'

interface ConsumerReport {
  /** Deliveries that were handled, repeated ones included. */
  readonly received: number
  /** Events that were handled at least once. */
  readonly distinct: number
  /** Events that were published and never handled. */
  readonly lost: number
  readonly outOfOrder: number
  readonly duplicates: number
  /** From publishing to the first handler; without events published while its process was dead. */
  readonly p50Ms: number | null
  readonly p99Ms: number | null
}

/** What the demo writes as JSON. Null stands for what did not come to pass in a run that was cut short. */
export interface Report {
  readonly published: number
  readonly consumers: Readonly<Record<string, ConsumerReport>>
  /** The longer one of the two recoveries below. */
  readonly recoveryMs: number | null
  readonly recovery: {
    /** From killing the departures board until the one started instead handled its first event. */
    readonly boardRestartMs: number | null
    /** From killing a worker until the others had handled all events that it left behind. */
    readonly workerTakeoverMs: number | null
    /** How many it left behind. */
    readonly workerEvents: number | null
  }
  /** Events that are in the stream in another order than they were published in. */
  readonly publishedOutOfOrder: number
  /** Moving services from polling to the stream. */
  readonly migration: MigrationReport | null
  readonly ok: boolean
}

/** The recoveries that a run came to, with the consumer whose process was restarted. */
export interface Recoveries {
  restart?: { readonly consumer: string; readonly recovery: RestartRecovery }
  takeover?: TakeoverRecovery
}

export function makeReport(
  ledger: Ledger,
  recoveries: Recoveries,
  migration?: MigrationReport,
): Report {
  const { published } = ledger
  const consumers = Object.fromEntries(
    [...ledger.consumers.keys()].map((name) => [name, consumerReport(ledger, name, recoveries)]),
  )
  const restartMs = recoveries.restart?.recovery.durationMs
  const takeoverMs = recoveries.takeover?.durationMs
  const lengths = [restartMs, takeoverMs].filter((ms) => ms !== undefined)
  const clean = Object.values(consumers).every(
    ({ lost, outOfOrder }) => lost === 0 && outOfOrder === 0,
  )
  return {
    published: published.count,
    consumers,
    recoveryMs: lengths.length === 0 ? null : rounded(Math.max(...lengths)),
    recovery: {
      boardRestartMs: rounded(restartMs),
      workerTakeoverMs: rounded(takeoverMs),
      workerEvents: recoveries.takeover?.events ?? null,
    },
    publishedOutOfOrder: published.outOfOrder,
    migration: migration ?? null,
    ok: clean && migration?.ok !== false && published.count > 0 && published.outOfOrder === 0,
  }
}

function consumerReport(ledger: Ledger, name: string, recoveries: Recoveries): ConsumerReport {
  const tally = ledger.consumers.get(name)
  if (tally === undefined) throw new Error(`there is no consumer ${name}`)
  const { restart } = recoveries
  const outages = restart?.consumer === name ? [restart.recovery.outage] : []
  return {
    received: tally.received,
    distinct: tally.distinct,
    lost: tally.missing(ledger.published.sequences()),
    outOfOrder: tally.outOfOrder,
    duplicates: tally.duplicates,
    p50Ms: rounded(tally.latencyMs(0.5, outages)),
    p99Ms: rounded(tally.latencyMs(0.99, outages)),
  }
}

function rounded(ms: number | undefined): number | null {
  return ms === undefined ? null : Math.round(ms * 100) / 100
}
