import { setTimeout as sleep } from 'node:timers/promises'
import { cpuMsOf, memoryMiBOf } from '../harness/process-usage.ts'
import type { Side } from './sides.ts'

/** One place of the grid. */
export interface Cell {
  readonly perSecond: number
  /** Undefined where nobody polls. */
  readonly intervalMs?: number
}

export interface CellFigures {
  /** CPU milliseconds per second, of all processes of the side. */
  readonly cpuMsPerSecond: number
  readonly memoryMiB: number
  /** What of both is the API with its database, or Redis. */
  readonly serverCpuMsPerSecond: number
  readonly serverMemoryMiB: number
}

export interface CellTask extends Cell {
  readonly followersPerProcess: number
  readonly windowMs: number
}

const SETTLE_MS = 1_500
/** So that what is left comes soon. */
const QUICK_INTERVAL_MS = 100
const GIVE_UP_MS = 120_000

/** Measures a side at one rate and interval, and that every follower has got every event afterwards. */
export async function measureCell(side: Side, task: CellTask): Promise<CellFigures> {
  const { perSecond, intervalMs, followersPerProcess } = task
  const periodMs = perSecond === 0 ? 0 : 1_000 / perSecond
  // At least one event and one poll of each poller lie within.
  const windowMs = Math.max(task.windowMs, intervalMs ?? 0, periodMs)
  if (intervalMs !== undefined) await pollEvery(side, intervalMs)
  await side.publisher.ask('begin', perSecond)
  await sleep(Math.max(SETTLE_MS, intervalMs ?? 0))
  const startMs = performance.now()
  const cpuBeforeMs = cpuMsOf(side.pids)
  const serverCpuBeforeMs = cpuMsOf(side.serverPids)
  await sleep(windowMs)
  const cpuMs = cpuMsOf(side.pids) - cpuBeforeMs
  const serverCpuMs = cpuMsOf(side.serverPids) - serverCpuBeforeMs
  const elapsedMs = performance.now() - startMs
  const memoryMiB = memoryMiBOf(side.pids)
  const serverMemoryMiB = memoryMiBOf(side.serverPids)
  const published = await side.publisher.ask('stop', null)
  if (intervalMs !== undefined) await pollEvery(side, QUICK_INTERVAL_MS)
  await allHandled(side, published * followersPerProcess)
  return {
    cpuMsPerSecond: (cpuMs / elapsedMs) * 1_000,
    memoryMiB,
    serverCpuMsPerSecond: (serverCpuMs / elapsedMs) * 1_000,
    serverMemoryMiB,
  }
}

async function pollEvery(side: Side, intervalMs: number): Promise<void> {
  await Promise.all(side.followers.map((one) => one.ask('pollEvery', intervalMs)))
}

async function allHandled(side: Side, events: number): Promise<void> {
  const giveUp = new AbortController()
  const late = sleep(GIVE_UP_MS, undefined, { signal: giveUp.signal }).then(() => {
    throw new Error(`${side.name}: not every follower had ${events} events after ${GIVE_UP_MS} ms`)
  })
  const handled = Promise.all(side.followers.map((one) => one.ask('handled', events)))
  try {
    await Promise.race([handled, late])
  } finally {
    late.catch(() => undefined)
    giveUp.abort()
  }
}
