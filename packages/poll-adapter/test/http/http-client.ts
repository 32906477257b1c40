import { createServer, type IncomingMessage, request as httpRequest, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Testbed } from '../open-millrace.ts'

type Listener = NonNullable<Parameters<typeof createServer>[1]>

/** A real server on a free port, which ends with the test; answers its URL. */
export async function listen(bed: Testbed, listener: Listener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  bed.onClose(() => stop(server))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function stop(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => {
      resolve()
    })
    server.closeAllConnections()
  })
}

/** A bare request line, which `fetch` would tidy up first. */
export function rawGet(base: string, path: string): Promise<IncomingMessage> {
  const { hostname, port } = new URL(base)
  return new Promise((resolve, reject) => {
    httpRequest({ hostname, port, path, agent: false }, (response) => {
      response.resume()
      resolve(response)
    })
      .on('error', reject)
      .end()
  })
}
