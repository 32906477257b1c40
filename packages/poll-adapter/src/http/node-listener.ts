import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { answererOf, type HttpHandler } from './answer.ts'
import { problemResponse } from './problem.ts'

/** What `http.createServer`, Express and a hijacked Fastify reply call. */
export type NodeListener = (request: IncomingMessage, response: ServerResponse) => void

/**
 * Mounts a handler in Node's `http`, and in whatever passes its objects on. The request's signal fires
 * when the client goes away. Bodies are not passed on: the handlers here read none.
 */
export function nodeListener(handler: HttpHandler): NodeListener {
  return (incoming, outgoing) => {
    void answer(handler, incoming, outgoing)
  }
}

async function answer(
  handler: HttpHandler,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const gone = new AbortController()
  outgoing.once('close', () => {
    if (!outgoing.writableFinished) gone.abort(new Error('the client went away'))
  })
  const answerer = answererOf(handler)
  try {
    if (answerer === undefined) {
      const response = await handler(requestOf(incoming, gone.signal))
      const headers = Object.fromEntries(response.headers)
      const body = response.body === null ? undefined : await response.bytes()
      if (body !== undefined) headers['content-length'] = String(body.length)
      send(incoming, outgoing, response.status, headers, body)
    } else {
      const { status, headers, body } = await answerer({
        method: incoming.method ?? 'GET',
        href: urlOf(incoming),
        header: (name) => headerOf(incoming, name),
        signal: gone.signal,
      })
      send(incoming, outgoing, status, headers, body)
    }
  } catch (error) {
    const { status, headers, body } = problemResponse(error)
    send(incoming, outgoing, status, headers, body)
  }
}

function send(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: string | Uint8Array | undefined,
): void {
  // Nobody is there to read it.
  if (outgoing.destroyed) return
  if (outgoing.headersSent) {
    outgoing.destroy()
    return
  }
  outgoing.writeHead(status, besideOthers(headers, outgoing))
  outgoing.end(incoming.method === 'HEAD' ? undefined : body)
}

/** What a framework has put there already is kept beside ours. */
function besideOthers(
  headers: Readonly<Record<string, string>>,
  outgoing: ServerResponse,
): OutgoingHttpHeaders {
  const [link, vary] = [outgoing.getHeader('link'), outgoing.getHeader('vary')]
  if (link === undefined && vary === undefined) return headers
  const beside = (
    name: string,
    others: number | readonly string[] | string | undefined,
  ): object => {
    const own = headers[name]
    return own === undefined || others === undefined ? {} : { [name]: [String(others), own] }
  }
  return { ...headers, ...beside('link', link), ...beside('vary', vary) }
}

function headerOf({ headers }: IncomingMessage, name: string): string | null {
  const value = headers[name]
  return Array.isArray(value) ? value.join(', ') : (value ?? null)
}

function requestOf(incoming: IncomingMessage, signal: AbortSignal): Request {
  const headers = new Headers()
  for (const [name, values] of Object.entries(incoming.headersDistinct)) {
    // HTTP/2 has names that no Headers object takes.
    if (name.startsWith(':')) continue
    for (const value of values ?? []) headers.append(name, value)
  }
  return new Request(urlOf(incoming), { method: methodOf(incoming), headers, signal })
}

/** Web requests cannot have these methods; no handler here answers them either. */
function methodOf({ method = 'GET' }: IncomingMessage): string {
  return /^(CONNECT|TRACE|TRACK)$/i.test(method) ? 'OPTIONS' : method
}

/** Routers such as Express shorten `url` to what is below where they are mounted, and keep the whole beside. */
function urlOf(incoming: IncomingMessage): string {
  const original: unknown = Reflect.get(incoming, 'originalUrl')
  const path = typeof original === 'string' ? original : (incoming.url ?? '/')
  const isSecure = Reflect.get(incoming.socket, 'encrypted') === true
  const { host = 'localhost' } = incoming.headers
  const base = `${isSecure ? 'https' : 'http'}://${host}`
  // A request line may hold a whole URL, and a Host header anything; a path that begins with two slashes
  // must not be taken for a host.
  const target = path.startsWith('/') ? `${base}${path}` : path
  return URL.canParse(target) ? target : 'http://localhost/'
}
