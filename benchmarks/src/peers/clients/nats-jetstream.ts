import { AckPolicy, DeliverPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import type { TimedEvent } from '../../load/timed-event.ts'
import { servePeer } from '../peer-program.ts'

// NATS JetStream through nats.js 3.4: a file stream and a durable pull consumer with explicit acks,
// read with `consume()`, which its documentation recommends over fetches; acks are not waited for,
// as there. Publishing waits for the confirmation of each event, many at a time.
const STREAM = 'timed'
const DURABLE = 'bench'
const BUFFERED = 500
const PUBLISH_TIMEOUT_MS = 5_000

servePeer({
  chunksInFlight: 4,
  async openPublisher({ url, prefix }) {
    const connection = await connected(url)
    const subject = await ensureStream(connection, prefix)
    const js = jetstream(connection, { timeout: PUBLISH_TIMEOUT_MS })
    return {
      publish: (events) =>
        Promise.all(events.map((event) => js.publish(subject, JSON.stringify(event)))),
      close: () => connection.close(),
    }
  },
  async subscribe({ url, prefix }, handle) {
    const connection = await connected(url)
    await ensureStream(connection, prefix)
    const manager = await jetstreamManager(connection)
    const stream = streamOf(prefix)
    await manager.consumers.add(stream, {
      durable_name: DURABLE,
      ack_policy: AckPolicy.Explicit,
      deliver_policy: DeliverPolicy.All,
      max_ack_pending: 10_000,
    })
    const consumer = await jetstream(connection).consumers.get(stream, DURABLE)
    const messages = await consumer.consume({
      max_messages: BUFFERED,
      callback: (message) => {
        handle(message.json<TimedEvent>())
        message.ack()
      },
    })
    return {
      unsettled: async () => {
        const info = await manager.consumers.info(stream, DURABLE)
        return info.num_ack_pending
      },
      close: async () => {
        await messages.close()
        await connection.close()
      },
    }
  },
})

function connected(url: string): Promise<NatsConnection> {
  const { host } = new URL(url)
  return connect({ servers: host, maxReconnectAttempts: -1, reconnectTimeWait: 250 })
}

function streamOf(prefix: string): string {
  return `${STREAM}-${prefix.replace(/[^a-z0-9]/g, '')}`
}

async function ensureStream(connection: NatsConnection, prefix: string): Promise<string> {
  const manager = await jetstreamManager(connection)
  const name = streamOf(prefix)
  const subject = `${name}.events`
  await manager.streams.add({ name, subjects: [subject], storage: 'file', num_replicas: 1 })
  return subject
}
