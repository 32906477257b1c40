import type { Verdict } from './proof/judge.ts'
import type { Fault } from './faults/fault.ts'
import { FLOW_MS, type Strike } from './run/strike.ts'

/** What came of one fault: the columns that are promised, and the facts behind them. */
export interface FaultReport {
  readonly name: string
  readonly events: number
  readonly lost: number
  readonly outOfOrder: number
  readonly duplicates: number
  /** From the end of the fault until new events reached every reader; null when they did not. */
  readonly recoveryMs: number | null
  readonly ok: boolean
  /** From the end of the fault until everything accepted before had reached every reader. */
  readonly settledMs: number | null
  /** The fault's own, tighter bound, and whether it was kept. */
  readonly bound: { readonly until: string; readonly ms: number; readonly kept: boolean } | null
  /** Events that the fault took out of the stream before everyone had them. */
  readonly removed: number
  /** Acknowledged events that Redis itself lost at a failover. */
  readonly forgotten: number
  readonly storedTwice: number
  /** Accepted events that the producer was answered from its spool; null where it has none. */
  readonly spooled: number | null
  readonly deadLettered: number
  /** Events that had left the stream when they were claimed from a dead member. */
  readonly expired: number
  /** Events that publish() was rejected for, by error code. */
  readonly refused: Readonly<Record<string, number>>
  /** What is wrong, in words; empty when all is well. */
  readonly problems: readonly string[]
}

export interface SuiteReport {
  readonly faults: readonly FaultReport[]
  readonly seed: number
  readonly ok: boolean
}

/** What is known of a scene beside the verdict. */
export interface SceneFacts {
  readonly expired: number
  readonly refused: Readonly<Record<string, number>>
  readonly problems: readonly string[]
  /** Events that were accepted by the spool; undefined where there is none, or it is not known. */
  readonly spooled: number | undefined
}

export function reportOf(
  fault: Fault,
  strike: Strike,
  verdict: Verdict,
  facts: SceneFacts,
): FaultReport {
  const { bound, forgets } = fault
  const problems = [
    ...strike.problems,
    ...facts.problems,
    ...verdictProblems(verdict, forgets === 'refused'),
    ...lateness(strike),
    ...refusedWrongly(facts),
    ...(facts.spooled === 0 ? ['nothing went to the spool'] : []),
  ]
  return {
    name: fault.name,
    ...counted(verdict),
    recoveryMs: rounded(strike.recoveryMs),
    ok: problems.length === 0,
    settledMs: rounded(strike.settledMs),
    bound: bound === undefined ? null : { ...bound, kept: strike.withinBound === true },
    expired: facts.expired,
    spooled: facts.spooled ?? null,
    refused: facts.refused,
    problems,
  }
}

/** A whole shuffled round; what safe settings let Redis lose is a matter of its faults. */
export function roundReport(
  name: string,
  recoveries: readonly (number | undefined)[],
  verdict: Verdict,
  facts: SceneFacts,
): FaultReport {
  const problems = [...facts.problems, ...verdictProblems(verdict, false), ...refusedWrongly(facts)]
  const slowestMs = Math.max(...recoveries.map((ms) => ms ?? Number.POSITIVE_INFINITY))
  return {
    name,
    ...counted(verdict),
    recoveryMs: Number.isFinite(slowestMs) ? Math.round(slowestMs) : null,
    ok: problems.length === 0,
    settledMs: null,
    bound: null,
    expired: facts.expired,
    spooled: facts.spooled ?? null,
    refused: facts.refused,
    problems,
  }
}

/** A scene that could not be played to its end. */
export function failedReport(name: string, error: unknown): FaultReport {
  const text = error instanceof Error ? error.message : String(error)
  return {
    name,
    ...counted(NOTHING),
    recoveryMs: null,
    ok: false,
    settledMs: null,
    bound: null,
    expired: 0,
    spooled: null,
    refused: {},
    problems: [`it could not be played: ${text}`],
  }
}

const NOTHING: Verdict = Object.freeze({
  events: 0,
  lost: 0,
  outOfOrder: 0,
  duplicates: 0,
  removed: 0,
  forgotten: 0,
  storedTwice: 0,
  deadLettered: 0,
  missing: [],
})

function counted(verdict: Verdict): Omit<Verdict, 'missing'> {
  const { events, lost, outOfOrder, duplicates } = verdict
  const { removed, forgotten, storedTwice, deadLettered } = verdict
  return { events, lost, outOfOrder, duplicates, removed, forgotten, storedTwice, deadLettered }
}

/** What is wrong with what was counted. */
function verdictProblems(verdict: Verdict, mayNotForget: boolean): readonly string[] {
  const { lost, outOfOrder, storedTwice, forgotten, missing } = verdict
  const problems: string[] = []
  if (lost > 0) {
    const some = missing.map(({ number, reader }) => `${number} at ${reader}`).join(', ')
    problems.push(`${lost} events lost: ${some}`)
  }
  if (outOfOrder > 0) problems.push(`${outOfOrder} events out of order`)
  if (storedTwice > 0) problems.push(`${storedTwice} events in the stream twice`)
  if (mayNotForget && forgotten > 0)
    problems.push(`Redis lost ${forgotten} acknowledged events in spite of safe settings`)
  return problems
}

/** Whatever Redis does, it must not violate an invariant of ours. */
function refusedWrongly({ refused }: SceneFacts): readonly string[] {
  const internal = refused['INTERNAL'] ?? 0
  return internal === 0 ? [] : [`publish() was rejected ${internal} times with INTERNAL`]
}

function lateness({ recoveryMs, repairMs }: Strike): readonly string[] {
  const problems: string[] = []
  if (recoveryMs !== undefined && recoveryMs > FLOW_MS)
    problems.push(`events flowed only ${Math.round(recoveryMs)} ms after the end of the fault`)
  if (repairMs !== undefined && repairMs > FLOW_MS)
    problems.push(`events flowed only ${Math.round(repairMs)} ms after the repair`)
  return problems
}

function rounded(ms: number | undefined): number | null {
  return ms === undefined ? null : Math.round(ms)
}
