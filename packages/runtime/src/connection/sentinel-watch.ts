import { Redis, type RedisOptions } from 'ioredis'
import type { HostPort } from './options.ts'

/** How long to wait before connecting to a sentinel again, in milliseconds. */
const CONNECT_AGAIN_MS = 1_000
const SWITCHED = '+switch-master'

/** The sentinels to listen to, and the name of the master. */
export interface SentinelWatchOptions {
  readonly node: RedisOptions
  readonly clientName: string
  readonly connectTimeoutMs: number
}

/**
 * Hears from all sentinels when the master is replaced. An old master that still answers goes on
 * taking writes for about ten seconds, all of which are lost when it is told to follow the new one: so
 * its silence must not be waited for.
 */
export class SentinelWatch {
  readonly #clients: readonly Redis[]

  /** @param onSwitch is told of the new master, once by each sentinel that hears of it */
  constructor(options: SentinelWatchOptions, onSwitch: (master: HostPort) => void) {
    const { node, clientName, connectTimeoutMs } = options
    this.#clients = (node.sentinels ?? []).map((sentinel) => {
      const client = new Redis({
        ...sentinel,
        ...(node.sentinelUsername === undefined ? {} : { username: node.sentinelUsername }),
        ...(node.sentinelPassword === undefined ? {} : { password: node.sentinelPassword }),
        ...(node.sentinelTLS === undefined ? {} : { tls: node.sentinelTLS }),
        connectionName: `${clientName}:discovery`,
        connectTimeout: connectTimeoutMs,
        retryStrategy: () => CONNECT_AGAIN_MS,
        maxRetriesPerRequest: null,
        // What a sentinel tells of itself has nothing to do with what it has to tell here.
        enableReadyCheck: false,
        keepAlive: 10_000,
        disableClientInfo: true,
        lazyConnect: true,
      })
      // It connects again by itself; sessions meet the trouble of the sentinels as their own.
      client.on('error', () => undefined)
      client.on('message', (_channel: string, message: string) => {
        const [name, , , newHost, newPort] = message.split(' ')
        if (name !== node.name || newHost === undefined) return
        onSwitch({ host: newHost, port: Number(newPort) })
      })
      client.subscribe(SWITCHED).catch(() => undefined)
      return client
    })
  }

  /** How many connections to sentinels are open. */
  get connections(): number {
    return this.#clients.filter(({ status }) => status === 'ready').length
  }

  close(): void {
    for (const client of this.#clients) client.disconnect()
  }
}
