import { nowMs } from '../clock.ts'
import type { Bound, Fault } from '../faults/fault.ts'
import type { Scene } from './scene.ts'

/** How a fault went, before anything was counted. */
export interface Strike {
  readonly startMs: number
  readonly endMs: number
  /** From the end of the fault until new events reached everyone; undefined when they did not. */
  readonly recoveryMs: number | undefined
  /** The same after what the fault left behind was undone. */
  readonly repairMs: number | undefined
  /** From the end of the fault until everything accepted before had reached everyone; undefined when it did not. */
  readonly settledMs: number | undefined
  /** Whether the fault's own bound was kept; undefined when it has none. */
  readonly withinBound: boolean | undefined
  readonly problems: readonly string[]
}

/** Flow must resume within this after the end of every fault, in milliseconds. */
export const FLOW_MS = 10_000
/** How long the recovery is waited for, to tell late from never. */
const LONGEST_RECOVERY_MS = 30_000
/** A fault that does not end by itself within this is broken. */
const LONGEST_FAULT_MS = 60_000
/** How long what was accepted before a removal may take to arrive. */
const BARRIER_MS = 15_000

/** Lets one fault happen in a scene, and measures the recovery. */
export async function strike(scene: Scene, fault: Fault): Promise<Strike> {
  const problems: string[] = []
  const startMs = await barrier(scene, fault, problems)
  await using afterwards = new AsyncDisposableStack()
  try {
    await limited(inject(scene, fault, afterwards))
  } catch (error) {
    problems.push(`the fault itself failed: ${textOf(error)}`)
  }
  const endMs = nowMs()
  const flow = await scene.flowing(endMs, LONGEST_RECOVERY_MS)
  excuse(scene, fault, { startMs, endMs, flowMs: endMs + (flow.tookMs ?? LONGEST_RECOVERY_MS) })
  if (flow.tookMs === undefined) problems.push(`no new event reached ${flow.waitingFor.join(', ')}`)
  const settledMs = await settling(scene, fault, endMs)
  await afterwards.disposeAsync()
  await scene.bed.mend()
  await scene.cast.complete()
  const repair = await scene.flowing(nowMs(), LONGEST_RECOVERY_MS)
  if (repair.tookMs === undefined)
    problems.push(`after the repair no new event reached ${repair.waitingFor.join(', ')}`)
  // Whoever works again must say so, or a probe keeps work away from it.
  if (!(await scene.well(LONGEST_RECOVERY_MS)))
    problems.push(`after the repair not well: ${scene.cast.unwell.join('; ')}`)
  const took = { recoveryMs: flow.tookMs, repairMs: repair.tookMs, settledMs }
  return { startMs, endMs, ...took, withinBound: kept(fault.bound, took), problems }
}

/**
 * What a fault takes out of the stream excuses only what nobody had had the time to read: everything
 * older has to have arrived before.
 */
async function barrier(scene: Scene, fault: Fault, problems: string[]): Promise<number> {
  const startMs = nowMs()
  if (fault.removes !== true) return startMs
  if (!(await scene.settled(startMs, BARRIER_MS)))
    problems.push('what was accepted before the fault had not arrived everywhere')
  return startMs
}

/** Replication lags by no more than this on one host, in milliseconds. */
const FORGETTABLE_MS = 1_000

interface Times {
  readonly startMs: number
  readonly endMs: number
  readonly flowMs: number
}

function excuse(scene: Scene, fault: Fault, { startMs, endMs, flowMs }: Times): void {
  if (fault.removes === true) scene.excuses.push({ why: 'removed', fromMs: startMs, toMs: endMs })
  // A frozen or killed master may have acknowledged until the flow was with the new one.
  if (fault.forgets !== undefined)
    scene.excuses.push({ why: 'forgotten', fromMs: startMs - FORGETTABLE_MS, toMs: flowMs })
}

async function settling(scene: Scene, fault: Fault, endMs: number): Promise<number | undefined> {
  // What was taken out never arrives, so there is nothing to wait for.
  if (fault.removes === true || fault.forgets !== undefined) return undefined
  if (!(await scene.settled(endMs, LONGEST_RECOVERY_MS))) return undefined
  return Math.max(0, scene.ledger.settledAtMs(endMs) - endMs)
}

function kept(
  bound: Bound | undefined,
  took: { readonly recoveryMs: number | undefined; readonly settledMs: number | undefined },
): boolean | undefined {
  if (bound === undefined) return undefined
  const ms = bound.until === 'flow' ? took.recoveryMs : took.settledMs
  return ms !== undefined && ms <= bound.ms
}

function inject(scene: Scene, fault: Fault, afterwards: AsyncDisposableStack): Promise<void> {
  const { bed } = scene
  const stage = scene.stage(afterwards)
  if (fault.topology === 'standalone' && bed.topology === 'standalone')
    return fault.inject({ ...stage, bed })
  if (fault.topology === 'sentinel' && bed.topology === 'sentinel')
    return fault.inject({ ...stage, bed })
  if (fault.topology === 'cluster' && bed.topology === 'cluster')
    return fault.inject({ ...stage, bed })
  throw new Error(`${fault.name} does not strike a ${bed.topology} bed`)
}

async function limited(work: Promise<void>): Promise<void> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    late.reject(new Error(`it had not ended after ${LONGEST_FAULT_MS} ms`))
  }, LONGEST_FAULT_MS)
  try {
    await Promise.race([work, late.promise])
  } finally {
    clearTimeout(timer)
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
