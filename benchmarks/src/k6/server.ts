import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { connect, defineStream, type Millrace } from '@millrace/runtime'
import { createFeed, feedHandler, nodeListener } from '@millrace/poll-adapter'
import { z } from 'zod'
import { serve } from '../harness/program.ts'
import { type EventTable, openEventTable } from '../pollers/event-table.ts'
import type { ServingProgram } from './program.ts'

// A service in the middle of its migration: what is published goes to the event stream and into the
// table that the old API reads; the poll adapter's feed answers long polls from the stream.
const changes = defineStream('changes', {
  schema: z.object({ sequence: z.number().int(), sentMs: z.number() }),
})
const MOST = 1_000

serve({
  async listen({ place, database: path }) {
    const millrace = await connect(place.url, { prefix: place.prefix })
    const table = await openEventTable(path, 'api')
    const feed = createFeed(millrace, changes)
    await feed.ready()
    const longPolls = nodeListener(feedHandler(feed))
    const publish = publishTo(millrace, table)
    const oldPolls = readFrom(table)
    const server = createServer((request, response) => {
      const target = request.url ?? '/'
      if (target.startsWith('/changes')) longPolls(request, response)
      else if (target.startsWith('/old/events')) oldPolls(request, response)
      else if (target === '/events' && request.method === 'POST') publish(request, response)
      else response.writeHead(404).end()
    })
    server.keepAliveTimeout = 120_000
    await new Promise<void>((resolve) => {
      server.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 }, resolve)
    })
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
  },
} satisfies ServingProgram)

type Answer = (request: IncomingMessage, response: ServerResponse) => void

function publishTo(millrace: Millrace, table: EventTable): Answer {
  const publish = async (request: IncomingMessage): Promise<void> => {
    const body = await text(request)
    await millrace.publish(changes, JSON.parse(body) as { sequence: number; sentMs: number })
    await table.insert(body)
  }
  return (request, response) => {
    publish(request).then(
      () => response.writeHead(204).end(),
      (error: unknown) => response.writeHead(500).end(String(error)),
    )
  }
}

function readFrom(table: EventTable): Answer {
  const read = async (after: number): Promise<string> => {
    const rows = await table.after(after, MOST)
    const cursor = rows.at(-1)?.id ?? after
    return `{"items":[${rows.map(({ body }) => body).join()}],"cursor":"${cursor}"}`
  }
  return (request, response) => {
    const { searchParams } = new URL(request.url ?? '/', 'http://localhost')
    read(Number(searchParams.get('after') ?? 0)).then(
      (body) => response.setHeader('content-type', 'application/json').end(body),
      (error: unknown) => response.writeHead(500).end(String(error)),
    )
  }
}
