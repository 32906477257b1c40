import { setTimeout as pause } from 'node:timers/promises'
import { startProgram } from '../harness/program-process.ts'
import { cpuMsOf, memoryMiBOf } from '../harness/process-usage.ts'
import type { Figures } from '../harness/samples.ts'
import { nowUs } from '../load/timed-event.ts'
import type { Broker } from './brokers/broker.ts'
import type { PeerProgram } from './peer-program.ts'

/** Everything as fast as it goes: published, handled and settled, all at the same time. */
export async function measureFlow(
  program: URL,
  broker: Broker,
  { warmUp, measured }: { readonly warmUp: number; readonly measured: number },
): Promise<Figures> {
  const place = await broker.emptyPlace()
  await using consumer = startProgram<PeerProgram>(program)
  await using publisher = startProgram<PeerProgram>(program)
  await consumer.ask('subscribe', place)
  await publisher.ask('openPublisher', place)
  await publisher.ask('publish', { from: 0, to: warmUp })
  await consumer.ask('settled', { events: warmUp })
  const pids = [consumer.pid, publisher.pid, ...broker.pids()]
  const beforeMs = cpuMsOf(pids)
  const startMs = performance.now()
  const settled = consumer.ask('settled', { events: warmUp + measured })
  await Promise.all([publisher.ask('publish', { from: warmUp, to: warmUp + measured }), settled])
  const elapsedMs = performance.now() - startMs
  const usedMs = cpuMsOf(pids) - beforeMs
  return {
    perSecond: (measured / elapsedMs) * 1_000,
    cpuUs: (usedMs / measured) * 1_000,
    clientsMemoryMiB: memoryMiBOf([consumer.pid, publisher.pid]),
    brokerMemoryMiB: memoryMiBOf(broker.pids()),
  }
}

const PER_SECOND = 250
/** Sent one by one before the pace begins: what is measured is a service, not a compiler. */
const WARM_UP = 2_000

/** From just before the publishing call to the start of the handler, at a fixed rate. */
export async function measureLatency(
  program: URL,
  broker: Broker,
  seconds: number,
): Promise<Figures> {
  const place = await broker.emptyPlace()
  const events = WARM_UP + PER_SECOND * (seconds + 1)
  await using consumer = startProgram<PeerProgram>(program)
  await using publisher = startProgram<PeerProgram>(program)
  await consumer.ask('subscribe', place)
  await publisher.ask('openPublisher', place)
  await publisher.ask('sendPaced', { perSecond: PER_SECOND, events, atOnce: 1, warmUp: WARM_UP })
  await consumer.ask('settled', { events })
  const { p50, p95, p99, max } = await consumer.ask('spread', { from: WARM_UP + PER_SECOND })
  return { p50Ms: p50, p95Ms: p95, p99Ms: p99, maxMs: max }
}

const STEADY_PER_SECOND = 100
const BEFORE_MS = 1_000
const AWAY_MS = 1_000
const RESUMED_WITHIN_MS = 30_000
const LAST_WITHIN_MS = 5_000

/** The broker is killed while events flow, and started again. */
export async function measureRecovery(program: URL, broker: Broker): Promise<Figures> {
  const place = await broker.emptyPlace()
  await using consumer = startProgram<PeerProgram>(program)
  await using publisher = startProgram<PeerProgram>(program)
  await consumer.ask('subscribe', place)
  await publisher.ask('openPublisher', place)
  await publisher.ask('publish', { from: 0, to: 1 })
  await consumer.ask('settled', { events: 1 })
  await publisher.ask('beginSteady', { perSecond: STEADY_PER_SECOND, from: 1 })
  await pause(BEFORE_MS)
  await broker.kill()
  await pause(AWAY_MS)
  await broker.restart()
  const backUs = nowUs()
  const task = { afterUs: backUs, withinMs: RESUMED_WITHIN_MS }
  const { atUs } = await consumer.ask('resumed', task)
  const { sequences, failed } = await publisher.ask('endSteady', null)
  const missing = await consumer.ask('missing', { sequences, withinMs: LAST_WITHIN_MS })
  return {
    // Not within half a minute counts as half a minute.
    recoveredMs: atUs === 0 ? RESUMED_WITHIN_MS : (atUs - backUs) / 1_000,
    confirmedUnhandled: missing.events,
    refused: failed,
    handledTwice: missing.handledTwice,
  }
}
