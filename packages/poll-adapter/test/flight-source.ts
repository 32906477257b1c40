import { DatabaseSync } from 'node:sqlite'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'

/** What the old system of these tests knows of a flight. */
export interface Flight {
  readonly flight: string
  readonly version: number
  /** Rises with every change of any flight. */
  readonly seq: number
  readonly gate: string
}

/** An old system over HTTP and SQLite, which any number of processes may poll. */
export class FlightSource {
  readonly #db = new DatabaseSync(':memory:')
  readonly #server: Server
  requests = 0
  notModified = 0
  /** Stands between the rows and the answer, to plant faults. */
  distort: (flights: Flight[], url: URL) => Flight[] = (flights) => flights

  constructor() {
    this.#db.exec(
      'CREATE TABLE changes (seq INTEGER PRIMARY KEY, flight TEXT, version INTEGER, gate TEXT)',
    )
    this.#server = createServer((request, response) => {
      this.#answer(request, response)
    })
  }

  async listen(): Promise<this> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return this
  }

  get url(): string {
    const { port } = this.#server.address() as AddressInfo
    return `http://127.0.0.1:${port}`
  }

  /** One more change of the flight; `seq` may be given to plant a late commit. */
  change(flight: string, seq: number = this.lastSeq + 1): Flight {
    const row = this.#db
      .prepare('SELECT max(version) AS version FROM changes WHERE flight = ?')
      .get(flight)
    const version = Number(row?.['version'] ?? 0) + 1
    const changed = { flight, version, seq, gate: `${flight}-${version}` }
    this.#db
      .prepare('INSERT INTO changes (seq, flight, version, gate) VALUES (?, ?, ?, ?)')
      .run(seq, flight, version, changed.gate)
    return changed
  }

  remove(flight: string): void {
    this.#db.prepare('DELETE FROM changes WHERE flight = ?').run(flight)
  }

  get lastSeq(): number {
    return Number(this.#db.prepare('SELECT max(seq) AS seq FROM changes').get()?.['seq'] ?? 0)
  }

  /** All changes in the order of their cursors. */
  all(since = 0, limit = 1_000_000): Flight[] {
    const rows = this.#db
      .prepare('SELECT * FROM changes WHERE seq > ? ORDER BY seq LIMIT ?')
      .all(since, limit)
    return rows.map(flightOf)
  }

  /** The latest version of each flight. */
  latest(): Flight[] {
    const rows = this.#db
      .prepare('SELECT flight, max(version) AS version, seq, gate FROM changes GROUP BY flight')
      .all()
    return rows.map(flightOf)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
    this.#db.close()
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    this.requests += 1
    const url = new URL(request.url ?? '/', this.url)
    if (url.pathname === '/flights') {
      const limit = Number(url.searchParams.get('limit') ?? 100)
      const rows = this.all(Number(url.searchParams.get('since') ?? 0), limit)
      const items = this.distort(rows, url)
      send(response, { items, hasMore: rows.length === limit })
      return
    }
    if (url.pathname === '/pages') {
      // Cursors that mean nothing to whoever gets them.
      const cursor = url.searchParams.get('since') ?? ''
      const since = cursor === '' ? 0 : Number(Buffer.from(cursor, 'base64url').toString())
      const rows = this.all(since, Number(url.searchParams.get('limit') ?? 100))
      const end = String(rows.at(-1)?.seq ?? since)
      const next = end === '0' ? undefined : Buffer.from(end).toString('base64url')
      send(response, { items: this.distort(rows, url), cursor: next })
      return
    }
    // Everything at once, with a tag.
    const items = this.distort(this.latest(), url)
    const tag = `"${this.lastSeq}-${items.length}"`
    if (request.headers['if-none-match'] === tag) {
      this.notModified += 1
      response.writeHead(304).end()
      return
    }
    send(response, items, { etag: tag })
  }
}

function send(response: ServerResponse, body: unknown, headers: Record<string, string> = {}): void {
  response
    .writeHead(200, { 'content-type': 'application/json', ...headers })
    .end(JSON.stringify(body))
}

function flightOf(row: Readonly<Record<string, unknown>>): Flight {
  return {
    flight: String(row['flight']),
    version: Number(row['version']),
    seq: Number(row['seq']),
    gate: String(row['gate']),
  }
}
