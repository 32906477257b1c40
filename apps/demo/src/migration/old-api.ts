import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { FlightRow, FlightTable } from './flight-table.ts'

/** What the old API answers. */
export interface FlightPage {
  readonly items: readonly FlightRow[]
  readonly cursor: number
  readonly hasMore: boolean
}

const MOST_ITEMS = 1_000

/** The API that all services poll: `GET /flights?since=<sequence>&limit=<n>`. */
export class OldApi implements AsyncDisposable {
  readonly #server: Server

  constructor(table: FlightTable) {
    this.#server = createServer((request, response) => {
      const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost')
      const since = Number(searchParams.get('since') ?? -1)
      const limit = Math.min(Number(searchParams.get('limit') ?? MOST_ITEMS), MOST_ITEMS)
      if (pathname !== '/flights' || !Number.isInteger(since) || !(limit >= 1)) {
        response.writeHead(400).end()
        return
      }
      const items = table.after(since, limit)
      const page: FlightPage = {
        items,
        cursor: items.at(-1)?.sequence ?? since,
        hasMore: items.length === limit,
      }
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(page))
    })
  }

  /** Answers the address once it is served. */
  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    const { port } = this.#server.address() as AddressInfo
    return `http://127.0.0.1:${port}/flights`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
  }
}
