import { startRedis } from '@millrace/testkit'
import type { Broker } from './broker.ts'

/**
 * Redis with an append-only file that is written at every command and flushed by the operating system:
 * it survives the end of the process, as the other brokers' files do with their defaults.
 */
export async function startRedisBroker(): Promise<Broker> {
  const server = await startRedis({ persistence: true })
  let places = 0
  return {
    version: `${server.binary.product} ${server.binary.version}`,
    pids: () => [server.pid],
    async emptyPlace() {
      places += 1
      await server.client().flushall('SYNC')
      return { url: server.url, prefix: `p${places}:` }
    },
    kill: () => server.kill('SIGKILL'),
    restart: () => server.restart(),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}
