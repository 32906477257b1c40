import {
  Configuration,
  Consumer,
  EQueueDeliveryModel,
  EQueueType,
  Producer,
  ProducibleMessage,
  Queue,
  QueueMessages,
} from 'redis-smq'
import { ERedisConfigClient } from 'redis-smq-common'
import type { Place } from '../../harness/workbench.ts'
import type { TimedEvent } from '../../load/timed-event.ts'
import { servePeer } from '../peer-program.ts'

// redis-smq 8.3 as its guide has it: a FIFO queue, point to point, through ioredis; messages that are
// done are not stored, which is its default. A consumer handles one message after the other, so
// several consumers of the queue run in the process, as its guide advises for throughput. It asks
// for ioredis 5, and works with the 6 that is here. It has no
// bulk: each event is a `produce` of its own, many at a time.
const QUEUE = 'timed'
const CONSUMERS = 10

servePeer({
  chunksInFlight: 2,
  async openPublisher(place) {
    configure(place)
    await ensureQueue()
    const producer = new Producer()
    await called((done) => producer.run(done))
    return {
      publish: (events) => Promise.all(events.map((event) => produce(producer, event))),
      close: () => called((done) => producer.shutdown(done)),
    }
  },
  async subscribe(place, handle) {
    configure(place)
    await ensureQueue()
    const consumers = Array.from({ length: CONSUMERS }, () => new Consumer())
    for (const consumer of consumers) {
      await called((done) => consumer.run(done))
      await called((done) =>
        consumer.consume(
          QUEUE,
          ({ body }, settle) => {
            handle(body as TimedEvent)
            settle()
          },
          done,
        ),
      )
    }
    const counts = new QueueMessages()
    return {
      unsettled: async () => {
        const count = await called<{ pending: unknown }>((done) =>
          counts.countMessagesByStatus(QUEUE, done),
        )
        return typeof count.pending === 'number' ? count.pending : 0
      },
      close: async () => {
        for (const consumer of consumers) await called((done) => consumer.shutdown(done))
      },
    }
  },
})

function configure({ url, prefix }: Place): void {
  const { hostname, port } = new URL(url)
  Configuration.getSetConfig({
    namespace: prefix.replace(/[^a-z0-9]/g, ''),
    redis: {
      client: ERedisConfigClient.IOREDIS,
      options: { host: hostname, port: Number(port), maxRetriesPerRequest: null },
    },
  })
}

async function ensureQueue(): Promise<void> {
  const queue = new Queue()
  const exists = await called<boolean>((done) => queue.exists(QUEUE, done))
  if (exists) return
  await called((done) =>
    queue.save(QUEUE, EQueueType.FIFO_QUEUE, EQueueDeliveryModel.POINT_TO_POINT, done),
  )
}

function produce(producer: Producer, event: TimedEvent): Promise<unknown> {
  const message = new ProducibleMessage().setQueue(QUEUE).setBody(event)
  return called((done) => producer.produce(message, done))
}

type Callback<Answer> = (error?: Error | null, answer?: Answer) => void

function called<Answer>(call: (done: Callback<Answer>) => void): Promise<Answer> {
  return new Promise((resolve, reject) => {
    call((error, answer) => {
      if (error) reject(error)
      else resolve(answer as Answer)
    })
  })
}
