import type { IncomingMessage, ServerResponse } from 'node:http'
import type { HttpHandler } from './feed-handler.ts'
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
  let response: Response
  try {
    response = await handler(requestOf(incoming, gone.signal))
  } catch (error) {
    response = problemResponse(error)
  }
  // Nobody is there to read it.
  if (outgoing.destroyed || gone.signal.aborted) return
  const body = response.body === null ? undefined : Buffer.from(await response.arrayBuffer())
  if (outgoing.headersSent) {
    outgoing.destroy()
    return
  }
  outgoing.statusCode = response.status
  for (const [name, value] of response.headers) outgoing.appendHeader(name, value)
  if (body !== undefined) outgoing.setHeader('content-length', body.byteLength)
  outgoing.end(incoming.method === 'HEAD' ? undefined : body)
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
