import { setTimeout as pause } from 'node:timers/promises'
import { type Client, connect, Offset } from 'rabbitmq-stream-js-client'
import type { Place } from '../../harness/workbench.ts'
import type { TimedEvent } from '../../load/timed-event.ts'
import { servePeer } from '../peer-program.ts'

// RabbitMQ streams through rabbitmq-stream-js-client 1.0 as its README has it: a publisher whose
// confirmations are listened for, and a consumer that stores its offset on the server. The broker's
// guide advises against storing the offset of every message, so it is stored after every 500, and when
// nothing came for a moment. The client does not connect again by itself after a restart of the
// broker: `connection_closed` is where one does so.
const STREAM = 'timed'
const REFERENCE = 'bench'
const STORE_EVERY = 500n
const STORE_AFTER_MS = 5
const RECONNECT_MS = 250

servePeer({
  chunksInFlight: 8,
  async openPublisher(place) {
    const kept = await keepOpen((onClosed) => openPublishing(place, onClosed))
    return {
      publish: (events) => kept.link().publish(events),
      close: () => kept.close(),
    }
  },
  async subscribe(place, handle) {
    const offsets: Offsets = { handled: -1n, stored: -1n }
    const kept = await keepOpen((onClosed) => openConsuming(place, offsets, handle, onClosed))
    return {
      unsettled: async () => {
        await kept.link().store()
        return Number(offsets.handled - offsets.stored)
      },
      close: () => kept.close(),
    }
  },
})

interface Link {
  readonly client: Client
}

interface Publishing extends Link {
  publish(events: readonly TimedEvent[]): Promise<void>
}

interface Consuming extends Link {
  store(): Promise<void>
}

interface Offsets {
  handled: bigint
  stored: bigint
}

async function openPublishing(place: Place, onClosed: () => void): Promise<Publishing> {
  const outstanding = new Map<bigint, PromiseWithResolvers<void>>()
  const client = await connectTo(place, () => {
    for (const { reject } of outstanding.values()) reject(new Error('the connection was closed'))
    outstanding.clear()
    onClosed()
  })
  const publisher = await client.declarePublisher({ stream: streamOf(place) })
  publisher.on('publish_confirm', (_, ids) => {
    for (const id of ids) {
      outstanding.get(id)?.resolve()
      outstanding.delete(id)
    }
  })
  let last = 0n
  return {
    client,
    async publish(events) {
      const confirmed = events.map(async (event) => {
        last += 1n
        const id = last
        const answer = Promise.withResolvers<void>()
        outstanding.set(id, answer)
        await publisher.basicSend(id, Buffer.from(JSON.stringify(event)))
        await answer.promise
      })
      await publisher.flush()
      await Promise.all(confirmed)
    },
  }
}

async function openConsuming(
  place: Place,
  offsets: Offsets,
  handle: (event: TimedEvent) => void,
  onClosed: () => void,
): Promise<Consuming> {
  const client = await connectTo(place, onClosed)
  let quiet: NodeJS.Timeout | undefined
  const store = async (): Promise<void> => {
    const { handled } = offsets
    if (handled <= offsets.stored) return
    await consumer.storeOffset(handled)
    offsets.stored = handled
  }
  const consumer = await client.declareConsumer(
    {
      stream: streamOf(place),
      offset: offsets.handled < 0n ? Offset.first() : Offset.offset(offsets.handled + 1n),
      consumerRef: REFERENCE,
    },
    ({ content, offset = 0n }) => {
      handle(JSON.parse(content.toString()) as TimedEvent)
      offsets.handled = offset
      clearTimeout(quiet)
      if (offset % STORE_EVERY === 0n) void store().catch(() => undefined)
      else quiet = setTimeout(() => void store().catch(() => undefined), STORE_AFTER_MS)
    },
  )
  return { client, store }
}

async function connectTo(place: Place, onClosed: () => void): Promise<Client> {
  const { hostname, port } = new URL(place.url)
  const client = await connect({
    hostname,
    port: Number(port),
    username: 'guest',
    password: 'guest',
    vhost: '/',
    listeners: { connection_closed: onClosed },
  })
  await client.createStream({ stream: streamOf(place), arguments: {} })
  return client
}

function streamOf({ prefix }: Place): string {
  return `${STREAM}-${prefix.replace(/[^a-z0-9]/g, '')}`
}

interface Kept<Open extends Link> {
  link(): Open
  close(): Promise<void>
}

/** Opens it again whenever its connection was closed by the other side, until that works. */
async function keepOpen<Open extends Link>(
  open: (onClosed: () => void) => Promise<Open>,
): Promise<Kept<Open>> {
  let state: 'closed' | 'open' | 'opening' = 'opening'
  let current: Open
  const reopen = (): void => {
    if (state !== 'open') return
    state = 'opening'
    void openAtLast().then((fresh) => {
      current = fresh
      if (state === 'opening') state = 'open'
    })
  }
  const openAtLast = async (): Promise<Open> => {
    for (;;) {
      try {
        return await open(reopen)
      } catch {
        await pause(RECONNECT_MS)
      }
    }
  }
  current = await open(reopen)
  state = 'open'
  return {
    link: () => current,
    close: async () => {
      state = 'closed'
      await current.client.close()
    },
  }
}
