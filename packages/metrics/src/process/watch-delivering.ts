import { channels, type DeliveriesSettled, type DeliveryDetails, idTimeMs } from '@millrace/runtime'
import { delivering } from '../declarations/delivering.ts'
import type { Board } from './board.ts'
import type { ServerClock } from './server-clock.ts'
import type { HistogramSeries, Series } from './series.ts'

/** Follows what becomes of events; the answer ends that. */
export function watchDelivering(board: Board, clock: ServerClock): () => void {
  const readers = new Map<string, Delivering>()
  const received = board.values(delivering.received)
  const claimed = board.values(delivering.claimed)
  const expired = board.values(delivering.expired)
  const gap = board.values(delivering.gap)
  const deadLettered = board.values(delivering.deadLettered)
  const redriven = board.values(delivering.redriven)
  const settling = board.histogram(delivering.settleDuration)
  const offs = [
    channels.deliveriesSettled.subscribe((fact) => {
      const key = `${fact.stream}\0${fact.name}`
      let reader = readers.get(key)
      if (reader === undefined) readers.set(key, (reader = delivery(board, fact)))
      count(reader, fact, clock)
    }),
    channels.received.subscribe(({ stream, by, entries }) => {
      received.at(stream, by).value += entries.length
    }),
    channels.claimed.subscribe((fact) => {
      claimed.at(fact.stream, fact.name).value += fact.events
      expired.at(fact.stream, fact.name).value += fact.expired
    }),
    channels.gap.subscribe(({ stream, name, events }) => {
      gap.at(stream, name).value += events
    }),
    channels.deadLettered.subscribe(({ stream, name, reason }) => {
      deadLettered.at(stream, name, reason).value++
    }),
    channels.redriven.subscribe(({ stream, name, events }) => {
      redriven.at(stream, name).value += events
    }),
    channels.checkpointed.subscribe(({ stream, name, durationMs }) => {
      settling.at(stream, name).observe(durationMs / 1_000)
    }),
    channels.acknowledged.subscribe(({ stream, name, durationMs }) => {
      settling.at(stream, name).observe(durationMs / 1_000)
    }),
  ]
  return () => {
    for (const off of offs) off()
  }
}

/** The series of one consumer or consumer group: found once, not for each event. */
interface Delivering {
  readonly delivered: Series
  readonly handled: Series
  readonly failed: Series
  readonly retried: Series
  readonly redelivered: Series
  readonly interrupted: Series
  readonly publishToReceive: HistogramSeries
  readonly receiveToDone: HistogramSeries
  readonly publishToDone: HistogramSeries
  readonly duration: HistogramSeries
}

function delivery(board: Board, { stream, name }: DeliveriesSettled): Delivering {
  return {
    delivered: board.values(delivering.delivered).at(stream, name),
    handled: board.values(delivering.handled).at(stream, name),
    failed: board.values(delivering.failed).at(stream, name),
    retried: board.values(delivering.retried).at(stream, name),
    redelivered: board.values(delivering.redelivered).at(stream, name),
    interrupted: board.values(delivering.interrupted).at(stream, name),
    publishToReceive: board.histogram(delivering.publishToReceive).at(stream, name),
    receiveToDone: board.histogram(delivering.receiveToDone).at(stream, name),
    publishToDone: board.histogram(delivering.publishToDone).at(stream, name),
    duration: board.histogram(delivering.handlerDuration).at(stream, name),
  }
}

/**
 * Counts deliveries. The id of an event tells when Redis stored it, to the millisecond and by Redis'
 * clock; the moments here are brought to that clock, and what comes out before the event counts as 0.
 */
function count(reader: Delivering, fact: DeliveriesSettled, clock: ServerClock): void {
  const { ids, remarkable, traceparents } = fact
  const toServerMs = clock.ofMonotonicMs()
  const usual = ids.length - remarkable.size
  reader.delivered.value += usual
  reader.handled.value += usual
  for (const details of remarkable.values()) countRemarkable(reader, details)
  if (remarkable.size > 0 || traceparents.length > 0) observeEach(reader, fact, toServerMs)
  else observeAll(reader, fact, toServerMs)
}

function observeAll(
  { publishToReceive, receiveToDone, publishToDone, duration }: Delivering,
  { ids, receivedMs, startedMs, settledMs }: DeliveriesSettled,
  toServerMs: number,
): void {
  if (publishedMs.length < ids.length) publishedMs = new Float64Array(ids.length)
  for (let at = 0; at < ids.length; at++) publishedMs[at] = idTimeMs(ids[at] ?? '') - toServerMs
  publishToReceive.observeSpans(publishedMs, receivedMs, ids.length)
  receiveToDone.observeSpans(receivedMs, settledMs, ids.length)
  publishToDone.observeSpans(publishedMs, settledMs, ids.length)
  duration.observeSpans(startedMs, settledMs, ids.length)
}

/** When the events of one message were published, by the monotonic clock. Made once, for all messages. */
let publishedMs = new Float64Array(128)

function observeEach(
  { publishToReceive, receiveToDone, publishToDone, duration }: Delivering,
  { ids, receivedMs, startedMs, settledMs, traceparents, remarkable }: DeliveriesSettled,
  toServerMs: number,
): void {
  for (const [at, id] of ids.entries()) {
    const { attempt = 1, outcome = 'done', redriven = false } = remarkable.get(at) ?? {}
    const traceparent = traceparents[at]
    const received = receivedMs[at] ?? 0
    const settled = settledMs[at] ?? 0
    // A redriven event has a long history: its latency says nothing about the system's.
    const published = redriven ? undefined : idTimeMs(id) - toServerMs
    if (attempt === 1 && published !== undefined)
      publishToReceive.observe(seconds(received - published), traceparent)
    duration.observe(seconds(settled - (startedMs[at] ?? 0)), traceparent)
    if (outcome !== 'done') continue
    receiveToDone.observe(seconds(settled - received), traceparent)
    if (published !== undefined) publishToDone.observe(seconds(settled - published), traceparent)
  }
}

function countRemarkable(reader: Delivering, details: DeliveryDetails): void {
  const { attempt, outcome, redelivered, redriven } = details
  if (attempt === 1) {
    reader.delivered.value++
    if (redelivered && !redriven) reader.redelivered.value++
  } else reader.retried.value++
  if (outcome === 'done') reader.handled.value++
  else if (outcome === 'interrupted') reader.interrupted.value++
  else reader.failed.value++
}

function seconds(ms: number): number {
  return ms > 0 ? ms / 1_000 : 0
}
