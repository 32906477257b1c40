import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { serve } from '../harness/program.ts'
import type { PollApiProgram } from '../resources/program.ts'
import { openEventTable } from './event-table.ts'

// The poll API that services have today: GET /events?after=<cursor>&limit=<n> over a database table. Rows
// hold JSON, which goes out as it is, so that nothing is parsed here.
const MOST = 1_000

serve({
  async open({ database: path }: { readonly database: string }) {
    const select = selectFrom(openEventTable(path))
    const server = createServer((request, response) => {
      answer(select, request, response)
    })
    // Longer than any pause between polls.
    server.keepAliveTimeout = 120_000
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  },
} satisfies PollApiProgram)

function selectFrom(database: DatabaseSync): StatementSync {
  return database.prepare('SELECT id, body FROM events WHERE id > ? ORDER BY id LIMIT ?')
}

function answer(select: StatementSync, request: IncomingMessage, response: ServerResponse): void {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost')
  const after = Number(searchParams.get('after') ?? 0)
  const limit = Math.min(Number(searchParams.get('limit') ?? MOST), MOST)
  if (pathname !== '/events' || !Number.isSafeInteger(after) || !Number.isSafeInteger(limit)) {
    response.writeHead(400).end()
    return
  }
  const rows = select.all(after, limit) as { readonly id: number; readonly body: string }[]
  const cursor = rows.at(-1)?.id ?? after
  const body = `{"cursor":${cursor},"events":[${rows.map((row) => row.body).join(',')}]}`
  response
    .writeHead(200, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    })
    .end(body)
}
