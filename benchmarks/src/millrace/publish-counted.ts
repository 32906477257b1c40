import { setTimeout as sleep } from 'node:timers/promises'
import { connect, type Millrace } from '@millrace/runtime'
import { serve } from '../harness/program.ts'
import { CHUNK_EVENTS } from '../load/publish-all.ts'
import { timedEventAt } from '../load/timed-event.ts'
import type { LossPublisherProgram, PublishTask } from '../loss/program.ts'
import { timedStream } from './timed.ts'

// Publishes a number of events, one after the other in chunks with some of them under way, and counts
// what was accepted. Whatever cannot be published within the deadline ends the benchmark.
const CHUNKS_IN_FLIGHT = 4
const DEADLINE_MS = 60_000

const stream = timedStream()
let millrace: Millrace
let acceptedEvents = 0
let allowedEvents = 0
let allowed = Promise.withResolvers<void>()
let published: Promise<void> = Promise.resolve()
const waiting = new Set<{ readonly events: number; readonly resolve: () => void }>()

serve({
  async open(task: PublishTask) {
    const { url, prefix } = task.place
    millrace = await connect(url, { prefix, deadlineMs: DEADLINE_MS })
    published = publish(task)
    published.catch(() => undefined)
  },

  allow(events: number) {
    allowedEvents = events
    allowed.resolve()
    allowed = Promise.withResolvers<void>()
  },

  async accepted(events: number) {
    if (acceptedEvents >= events) return
    const { promise, resolve } = Promise.withResolvers<void>()
    waiting.add({ events, resolve })
    // What fails rejects here; that everything was published is no reason to go on waiting.
    await Promise.race([promise, published.then(() => promise)])
  },

  async behind() {
    const { consumers, groups } = await millrace.inspect(stream)
    const behind = [
      ...consumers.map(({ lag }) => lag.events),
      ...groups.map(({ lag, pending }) => lag.events + pending),
    ]
    return behind.reduce((sum, events) => sum + events, 0)
  },
} satisfies LossPublisherProgram)

async function publish({ events, perSecond }: PublishTask): Promise<void> {
  const everyMs = (CHUNK_EVENTS / perSecond) * 1_000
  let dueMs = performance.now()
  const underWay = new Set<Promise<void>>()
  for (let from = 0; from < events; from += CHUNK_EVENTS) {
    await allowedFrom(from)
    // What could not be published in time is not made up for.
    dueMs = Math.max(dueMs + everyMs, performance.now())
    const waitMs = dueMs - performance.now()
    if (waitMs > 0) await sleep(waitMs)
    while (underWay.size >= CHUNKS_IN_FLIGHT) await Promise.race(underWay)
    const length = Math.min(CHUNK_EVENTS, events - from)
    const chunk = publishChunk(from, length).finally(() => underWay.delete(chunk))
    underWay.add(chunk)
  }
  await Promise.all(underWay)
}

async function allowedFrom(event: number): Promise<void> {
  if (event < allowedEvents) return
  await allowed.promise
  await allowedFrom(event)
}

async function publishChunk(from: number, length: number): Promise<void> {
  const events = Array.from({ length }, (_, index) => timedEventAt(from + index))
  const results = await millrace.publish(stream, events)
  if (results.length !== length) throw new Error('not every event was answered')
  acceptedEvents += length
  for (const one of waiting) {
    if (acceptedEvents < one.events) continue
    one.resolve()
    waiting.delete(one)
  }
}
