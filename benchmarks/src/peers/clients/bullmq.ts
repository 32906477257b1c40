import { Queue, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import type { Place } from '../../harness/workbench.ts'
import type { TimedEvent } from '../../load/timed-event.ts'
import { servePeer } from '../peer-program.ts'

// BullMQ 6.7 as its guide advises for throughput: jobs added in bulk, a worker with much concurrency,
// completed jobs removed at once so that Redis does not fill up. The worker fetches the next job in the
// script that completes the last one, which is its own default. `maxRetriesPerRequest: null` is what
// its guide demands of a worker's connection. It does not validate payloads.
const CONCURRENCY = 100
const QUEUE = 'timed'

servePeer({
  chunksInFlight: 4,
  openPublisher(place) {
    const queue = new Queue<TimedEvent>(QUEUE, connectionOf(place))
    queue.on('error', () => undefined)
    return Promise.resolve({
      publish: (events: readonly TimedEvent[]) => {
        const [only] = events
        return only !== undefined && events.length === 1
          ? queue.add('timed', only)
          : queue.addBulk(events.map((data) => ({ name: 'timed', data })))
      },
      close: () => queue.close(),
    })
  },
  async subscribe(place, handle) {
    const worker = new Worker<TimedEvent>(
      QUEUE,
      ({ data }) => {
        handle(data)
        return Promise.resolve()
      },
      { ...connectionOf(place), concurrency: CONCURRENCY, removeOnComplete: { count: 0 } },
    )
    worker.on('error', () => undefined)
    await worker.waitUntilReady()
    const admin = new Redis(place.url)
    admin.on('error', () => undefined)
    return {
      unsettled: () => admin.llen(`${place.prefix}:${QUEUE}:active`),
      close: async () => {
        admin.disconnect()
        await worker.close()
      },
    }
  },
})

function connectionOf({ url, prefix }: Place): {
  connection: { host: string; port: number; maxRetriesPerRequest: null }
  prefix: string
} {
  const { hostname, port } = new URL(url)
  return { connection: { host: hostname, port: Number(port), maxRetriesPerRequest: null }, prefix }
}
