import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

/** Servers here listen on this address only. */
export const LOOPBACK = '127.0.0.1'

/** A cluster node's bus listens this far above its port. */
const CLUSTER_BUS_OFFSET = 10_000

/**
 * Ports are drawn at random below the range from which Linux takes ports for outgoing connections (32768
 * and up), so that a server can come back on its own port after a restart: no connection of a client has
 * taken it meanwhile. The lower half leaves room for the cluster bus under the same limit.
 */
const LOWEST_PORT = 12_000
const HIGHEST_PORT = 32_000
const DRAWS = 200

/**
 * Draws a free port. It can be taken before it is used, by another process that drew the same one; who
 * listens on it must be ready to draw again.
 */
export async function freePort(options: { readonly clusterBus?: boolean } = {}): Promise<number> {
  const highest = options.clusterBus ? HIGHEST_PORT - CLUSTER_BUS_OFFSET : HIGHEST_PORT
  for (let draw = 0; draw < DRAWS; draw += 1) {
    const port = randomInt(LOWEST_PORT, highest)
    if ((await isFree(port)) && (!options.clusterBus || (await isFree(port + CLUSTER_BUS_OFFSET))))
      return port
  }
  throw new Error(`no free port between ${LOWEST_PORT} and ${highest} in ${DRAWS} draws`)
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen({ host: LOOPBACK, port }, () => probe.close(() => resolve(true)))
  })
}
