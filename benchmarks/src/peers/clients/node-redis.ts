import { createClient } from 'redis'
import type { TimedEvent } from '../../load/timed-event.ts'
import { servePeer } from '../peer-program.ts'

// The same loop by hand with node-redis 6: commands of one tick go out together by themselves
// (auto-pipelining), so that publishing is one xAdd per event; a client of its own for blocking reads,
// as its guide advises; an error listener, without which it would end the process.
const GROUP = 'bench'
const COUNT = 500
const BLOCK_MS = 1_000

servePeer({
  chunksInFlight: 2,
  async openPublisher({ url, prefix }) {
    const client = await connected(url)
    const key = `${prefix}timed`
    return {
      publish: (events) =>
        Promise.all(events.map((event) => client.xAdd(key, '*', { data: JSON.stringify(event) }))),
      close: () => client.close(),
    }
  },
  async subscribe({ url, prefix }, handle) {
    const key = `${prefix}timed`
    const client = await connected(url)
    const admin = await connected(url)
    await client.xGroupCreate(key, GROUP, '0', { MKSTREAM: true })
    void receive(client, key, handle)
    return {
      unsettled: async () => (await admin.xPending(key, GROUP)).pending,
      close: () => {
        client.destroy()
        admin.destroy()
        return Promise.resolve()
      },
    }
  },
})

type Client = Awaited<ReturnType<typeof connected>>

async function connected(url: string) {
  return await createClient({ url })
    .on('error', () => undefined)
    .connect()
}

type Reply = readonly {
  readonly messages: readonly {
    readonly id: string
    readonly message: Readonly<Record<string, string>>
  }[]
}[]

async function receive(
  client: Client,
  key: string,
  handle: (event: TimedEvent) => void,
): Promise<void> {
  let from = '0'
  while (client.isOpen) {
    try {
      const options = { COUNT, BLOCK: BLOCK_MS }
      const reply = await client.xReadGroup(GROUP, 'one', { key, id: from }, options)
      const messages = (reply as Reply | null)?.[0]?.messages ?? []
      if (messages.length === 0) {
        from = '>'
        continue
      }
      for (const { message } of messages) handle(JSON.parse(message['data'] ?? '') as TimedEvent)
      await client.xAck(
        key,
        GROUP,
        messages.map(({ id }) => id),
      )
    } catch {
      from = '0'
    }
  }
}
