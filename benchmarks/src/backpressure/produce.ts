import { setTimeout as sleep } from 'node:timers/promises'
import {
  connect,
  isMillraceError,
  type Millrace,
  type Producer,
  type PublishResult,
} from '@millrace/runtime'
import { serve } from '../harness/program.ts'
import { type FlightEvent, flightEventAt } from '../load/flight-event.ts'
import { policies, SWEEP_EVERY_MS, streamUnder } from './policies.ts'
import type { ProduceTask, Produced, ProducerProgram } from './program.ts'

// Publishes as fast as it is let. What is refused for the time being is published again when the error says,
// so it is the producer's user that decides whether anything is lost, and this one loses nothing.
const WORKERS = 4
const CHUNK_EVENTS = 100
/** Where an error does not say when to try again. */
const RETRY_MS = 200

let millrace: Millrace
let producer: Producer<FlightEvent, PublishResult>
let workers: Promise<unknown> = Promise.resolve()
let next = 0
let accepted = 0
let spooled = 0
let refused = 0
let failed = 0
const halting = new AbortController()

serve({
  async begin({ place, policy, directory }: ProduceTask) {
    const { url, prefix } = place
    millrace = await connect(url, { prefix, sweepEveryMs: SWEEP_EVERY_MS })
    const { producer: options, spoolBytes } = policies[policy]
    const spool = spoolBytes === undefined ? {} : { spool: { directory, maxBytes: spoolBytes } }
    producer = millrace.producer(streamUnder(policy), { ...options, ...spool })
    workers = Promise.all(Array.from({ length: WORKERS }, work))
  },

  look,

  async halt() {
    halting.abort()
    await workers
    return look()
  },

  async end() {
    await millrace.close()
  },
} satisfies ProducerProgram)

function look(): Produced {
  return { accepted, spooled, refused, failed, residentBytes: process.memoryUsage.rss() }
}

async function work(): Promise<void> {
  while (!halting.signal.aborted) {
    const from = next
    next += CHUNK_EVENTS
    const events = Array.from({ length: CHUNK_EVENTS }, (_, i) => flightEventAt(from + i))
    while (!halting.signal.aborted && !(await publish(events)));
  }
}

/** Whether there is nothing left to do for these events. */
async function publish(events: readonly FlightEvent[]): Promise<boolean> {
  try {
    const results = await producer.publishMany(events)
    accepted += results.length
    spooled += results.filter(({ stored }) => stored === 'spool').length
    return true
  } catch (error) {
    if (!isMillraceError(error, 'PRESSURE') && !isMillraceError(error, 'SPOOL_FULL')) {
      failed += 1
      console.error(error)
      return true
    }
    refused += events.length
    await sleep(error.retryAfterMs ?? RETRY_MS, undefined, { signal: halting.signal }).catch(
      () => undefined,
    )
    return false
  }
}
