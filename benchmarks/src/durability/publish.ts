import {
  channels,
  connect,
  type Millrace,
  type Producer,
  type PublishResult,
} from '@millrace/runtime'
import { serve } from '../harness/program.ts'
import type { Place } from '../harness/workbench.ts'
import { Journal } from '../load/journal.ts'
import { type Numbered, numbered, storedAt } from './numbered-stream.ts'
import { CALLS_UNDER_WAY, type DurabilityProgram, type PublishTask } from './program.ts'

/** Longer than any outage here: what fails is what was given up. */
const DEADLINE_MS = 60_000
/** The number of an event that is not counted. */
const UNCOUNTED = -1

let millrace: Millrace
let producer: Producer<Numbered, PublishResult>
let journal: Journal | undefined
let workers: Promise<unknown> = Promise.resolve()
let connections = 0
let disconnected = Promise.withResolvers<void>()
let next = 0
let startedMs = 0
let lastMs = 0
const answered: number[] = []
const halting = new AbortController()

channels.connectionOpened.subscribe(() => {
  if (connections === 0) disconnected = Promise.withResolvers<void>()
  connections += 1
})
channels.connectionClosed.subscribe(() => {
  connections -= 1
  if (connections === 0) disconnected.resolve()
})

serve({
  async begin(task: PublishTask) {
    await open(task)
    startedMs = performance.now()
    workers = Promise.all(Array.from({ length: CALLS_UNDER_WAY }, work))
  },

  async cutOff() {
    await disconnected.promise
    halting.abort()
    await workers
    await millrace.close({ deadlineMs: 0 })
    return {
      events: answered.length,
      perSecond: answered.length / ((lastMs - startedMs) / 1_000),
    }
  },

  async missingAt(place: Place) {
    const stored = await storedAt(place)
    return answered.filter((n) => !stored.has(n)).length
  },

  async follow(task: PublishTask) {
    await open(task)
    await producer.publish({ n: UNCOUNTED }, { deadlineMs: DEADLINE_MS })
    await millrace.close({ deadlineMs: DEADLINE_MS })
  },
} satisfies DurabilityProgram)

async function open({ place, producer: options, journal: path }: PublishTask): Promise<void> {
  const { url, prefix } = place
  millrace = await connect(url, { prefix, deadlineMs: DEADLINE_MS })
  producer = millrace.producer(numbered, options)
  if (path !== undefined) journal = new Journal(path, 1)
}

async function work(): Promise<void> {
  while (!halting.signal.aborted) {
    const n = next++
    try {
      await producer.publish({ n }, { signal: halting.signal })
    } catch (error) {
      if (halting.signal.aborted) return
      throw error
    }
    journal?.append(n)
    answered.push(n)
    lastMs = performance.now()
  }
}
