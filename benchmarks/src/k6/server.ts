import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { DatabaseSync } from 'node:sqlite'
import { text } from 'node:stream/consumers'
import { connect, defineStream, type Millrace } from '@millrace/runtime'
import { createFeed, feedHandler, nodeListener } from '@millrace/poll-adapter'
import { z } from 'zod'
import { serve } from '../harness/program.ts'
import { openEventTable } from '../pollers/event-table.ts'
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
    const database = openEventTable(path)
    const feed = createFeed(millrace, changes)
    await feed.ready()
    const longPolls = nodeListener(feedHandler(feed))
    const publish = publishTo(millrace, database)
    const oldPolls = readFrom(database)
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

function publishTo(millrace: Millrace, database: DatabaseSync): Answer {
  const insert = database.prepare('INSERT INTO events (body) VALUES (?)')
  const publish = async (request: IncomingMessage): Promise<void> => {
    const body = await text(request)
    await millrace.publish(changes, JSON.parse(body) as { sequence: number; sentMs: number })
    insert.run(body)
  }
  return (request, response) => {
    publish(request).then(
      () => response.writeHead(204).end(),
      (error: unknown) => response.writeHead(500).end(String(error)),
    )
  }
}

function readFrom(database: DatabaseSync): Answer {
  const select = database.prepare('SELECT id, body FROM events WHERE id > ? ORDER BY id LIMIT ?')
  return (request, response) => {
    const { searchParams } = new URL(request.url ?? '/', 'http://localhost')
    const after = Number(searchParams.get('after') ?? 0)
    const rows = select.all(after, MOST) as { readonly id: number; readonly body: string }[]
    const cursor = rows.at(-1)?.id ?? after
    response.setHeader('content-type', 'application/json')
    response.end(`{"items":[${rows.map(({ body }) => body).join()}],"cursor":"${cursor}"}`)
  }
}
