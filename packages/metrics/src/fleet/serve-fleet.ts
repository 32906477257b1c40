import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { FleetExporter } from './fleet-exporter.ts'

export interface ServeOptions {
  /** 0 for any free one. @defaultValue 9_472 */
  readonly port?: number
  /** Which address to listen on; `0.0.0.0` for all. @defaultValue `127.0.0.1` */
  readonly host?: string
}

/** An exporter that answers over HTTP. */
export interface FleetServer extends AsyncDisposable {
  readonly url: string
  /** Ends the server and the exporter. Idempotent. */
  close(): Promise<void>
}

const defaults = Object.freeze({ port: 9_472, host: '127.0.0.1' })

/**
 * Serves `/metrics`; `/healthz`, which answers as long as the process does; and `/readyz`, which answers
 * 503 with the reason while Redis does not.
 * @throws Error with the code of the system when it cannot listen
 */
export async function serveFleet(
  exporter: FleetExporter,
  { port = defaults.port, host = defaults.host }: ServeOptions = {},
): Promise<FleetServer> {
  const server = createServer((request, response) => {
    answer(exporter, request, response).catch((error: unknown) => {
      if (!response.headersSent) send(response, 500, `${String(error)}\n`)
      else response.destroy()
    })
  })
  const { promise: listening, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  server.listen(port, host, resolve)
  await listening
  const address = server.address()
  const actual = typeof address === 'object' && address !== null ? address.port : port
  let closing: Promise<void> | undefined
  const close = (): Promise<void> => {
    closing ??= closeAll()
    return closing
  }
  const closeAll = async (): Promise<void> => {
    const { promise: closed, resolve: onClosed } = Promise.withResolvers<void>()
    server.close(() => {
      onClosed()
    })
    server.closeIdleConnections()
    await exporter.close()
    server.closeAllConnections()
    await closed
  }
  const shown = host.includes(':') ? `[${host}]` : host
  return { url: `http://${shown}:${actual}`, close, [Symbol.asyncDispose]: close }
}

async function answer(
  exporter: FleetExporter,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { method, url = '/' } = request
  if (method !== 'GET' && method !== 'HEAD') {
    response.setHeader('Allow', 'GET, HEAD')
    send(response, 405, 'Only GET is answered here.\n')
    return
  }
  switch (url.split('?', 1)[0]) {
    case '/metrics':
      send(response, 200, await exporter.metrics(), exporter.contentType)
      return
    case '/healthz':
      send(response, 200, 'ok\n')
      return
    case '/readyz': {
      const { isReady, reason } = await exporter.readiness()
      send(response, isReady ? 200 : 503, `${reason}\n`)
      return
    }
    case '/':
      send(response, 200, 'Millrace fleet exporter: /metrics, /healthz, /readyz\n')
      return
    default:
      send(response, 404, 'There are /metrics, /healthz and /readyz.\n')
  }
}

function send(
  response: ServerResponse,
  status: number,
  body: string,
  type = 'text/plain; charset=utf-8',
): void {
  const bytes = Buffer.from(body)
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': bytes.length })
  response.end(bytes)
}
