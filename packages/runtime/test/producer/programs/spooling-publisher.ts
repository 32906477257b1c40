import { openSync, writeSync } from 'node:fs'
import { resolveConnectOptions } from '../../../src/connection/options.ts'
import { createCore } from '../../../src/core.ts'
import type { PublishResult } from '../../../src/producer/options.ts'
import { Producer } from '../../../src/producer/producer.ts'
import { defineStream } from '../../../src/stream/define-stream.ts'

/**
 * Publishes through a spool until it is killed, many events at a time, and notes each answer in a file
 * before anything else happens. With a number of events it publishes those, closes and ends.
 */
export interface SpoolingPublisherPlan {
  readonly url: string
  readonly directory: string
  readonly answers: string
  /** Its number among the processes that take turns. */
  readonly turn: number
  readonly events: number | undefined
  /** Without it the producer waits instead of spooling. */
  readonly afterMs: number | undefined
}

const plan = JSON.parse(process.argv[2] ?? '') as SpoolingPublisherPlan
const answers = openSync(plan.answers, 'a')
// Not by way of `connect`, which waits for Redis: the producer itself does not mind that it is away.
const core = createCore(resolveConnectOptions(plan.url, {}))
const stream = defineStream<{ turn: number; n: number }>('flights')
const producer = new Producer<{ turn: number; n: number }, PublishResult>(core, stream, {
  producerId: 'tower',
  ...(plan.afterMs === undefined
    ? {}
    : {
        whenUnavailable: 'spool',
        spool: { directory: plan.directory, afterMs: plan.afterMs },
      }),
})

let next = 0
async function publishInTurn(): Promise<void> {
  while (plan.events === undefined || next < plan.events) {
    const n = next++
    const { stored } = await producer.publish({ turn: plan.turn, n }, { deadlineMs: 60_000 })
    writeSync(answers, `${plan.turn} ${n} ${stored}\n`)
  }
}

await Promise.all(Array.from({ length: 64 }, publishInTurn))
await producer.close({ deadlineMs: 60_000 })
core.connections.close()
