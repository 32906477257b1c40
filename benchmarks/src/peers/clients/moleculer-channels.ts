import { Middleware as channelsMiddleware } from '@moleculer/channels'
import { Redis } from 'ioredis'
import { type Middleware, ServiceBroker } from 'moleculer'
import type { Place } from '../../harness/workbench.ts'
import type { TimedEvent } from '../../load/timed-event.ts'
import { servePeer } from '../peer-program.ts'
import { pendingOf } from '../pending.ts'

// @moleculer/channels 0.1.8, the newest on the registry, with its Redis adapter. Its README measures
// with maxInFlight 10 and 100 and is faster with 100. `startID: '0'` so that nothing is missed;
// reading blocks without an end and `minIdleTime` is an hour, as by default. It knows no bulk: each
// event is a `sendToChannel` of its own, many at a time; serializers are JSON.
const CHANNEL = 'timed'
const GROUP = 'bench'
const MAX_IN_FLIGHT = 100

servePeer({
  chunksInFlight: 2,
  async openPublisher(place) {
    const broker = brokerAt(place)
    await broker.start()
    const { sendToChannel } = broker as unknown as {
      sendToChannel: (channel: string, payload: TimedEvent) => Promise<void>
    }
    return {
      publish: (events) => Promise.all(events.map((event) => sendToChannel(CHANNEL, event))),
      close: () => broker.stop(),
    }
  },
  async subscribe(place, handle) {
    const broker = brokerAt(place)
    const schema = {
      name: 'bench',
      channels: {
        [CHANNEL]: {
          group: GROUP,
          maxInFlight: MAX_IN_FLIGHT,
          redis: { startID: '0' },
          handler: (event: TimedEvent) => {
            handle(event)
            return Promise.resolve()
          },
        },
      },
    }
    broker.createService(schema)
    await broker.start()
    const admin = new Redis(place.url)
    admin.on('error', () => undefined)
    return {
      unsettled: () => pendingOf(admin, `${place.prefix}.${CHANNEL}`, GROUP),
      close: () => broker.stop(),
    }
  },
})

function brokerAt({ url, prefix }: Place): ServiceBroker {
  const { hostname, port } = new URL(url)
  const redis = { host: hostname, port: Number(port) }
  // Its types ask for every option; its README names only those that are not as by default.
  const options = { adapter: { type: 'Redis', options: { prefix, redis } } } as never
  return new ServiceBroker({
    logger: false,
    middlewares: [channelsMiddleware(options) as unknown as Middleware],
  })
}
