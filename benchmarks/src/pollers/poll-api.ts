import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { serve } from '../harness/program.ts'
import type { PollApiProgram } from '../resources/program.ts'
import { type EventTable, openEventTable } from './event-table.ts'

// The poll API that services have today: GET /events?after=<cursor>&limit=<n> over a database table. Rows
// hold JSON, which goes out as it is, so that nothing is parsed here.
const MOST = 1_000

serve({
  async open({ database }: { readonly database: string }) {
    const table = await openEventTable(database, 'api')
    const server = createServer((request, response) => {
      answer(table, request, response).catch((error: unknown) => {
        response.writeHead(500).end(String(error))
      })
    })
    // Longer than any pause between polls.
    server.keepAliveTimeout = 120_000
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return { port: (server.address() as AddressInfo).port, databasePids: table.pids }
  },
} satisfies PollApiProgram)

async function answer(
  table: EventTable,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost')
  const after = Number(searchParams.get('after') ?? 0)
  const limit = Math.min(Number(searchParams.get('limit') ?? MOST), MOST)
  if (pathname !== '/events' || !Number.isSafeInteger(after) || !Number.isSafeInteger(limit)) {
    response.writeHead(400).end()
    return
  }
  const rows = await table.after(after, limit)
  const cursor = rows.at(-1)?.id ?? after
  const body = `{"cursor":${cursor},"events":[${rows.map((row) => row.body).join(',')}]}`
  response
    .writeHead(200, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    })
    .end(body)
}
