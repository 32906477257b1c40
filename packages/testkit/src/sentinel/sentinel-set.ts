import type { Redis } from 'ioredis'
import type { Address } from '../server/admin-client.ts'
import { disposeAll, type RedisServer } from '../server/private-server.ts'
import { waitFor } from '../wait-for.ts'

/** A private master with replicas and the sentinels that watch it, ended by disposal or with this process. */
export interface SentinelSet extends AsyncDisposable {
  /** The name under which the sentinels know the master. */
  readonly name: 'mymaster'
  /** Where the sentinels listen, as a client wants it. */
  readonly sentinels: readonly Address[]
  /** The sentinels' processes, in the same order. */
  readonly sentinelServers: readonly RedisServer[]
  /** The data servers; the first was the master at the start. */
  readonly servers: readonly RedisServer[]
  /** Where the sentinels that run say the master is, once they all say the same. */
  master(): Promise<Address>
  /** The server that is the master now. */
  masterServer(): Promise<RedisServer>
  /** Has the sentinels replace the master in the orderly way; resolves to the new one when all agree. */
  failover(): Promise<Address>
  /** Resolves to the master once it is another one than `old` and calls itself master. */
  promoted(old: Address): Promise<Address>
}

/** The name given to every watched master. */
export const MASTER_NAME = 'mymaster'

const FAILOVER_TIMEOUT_MS = 30_000
/** Sentinel refuses a failover while another one goes on and while no replica is good enough yet. */
const NOT_YET = /^(?:INPROG|NOGOODSLAVE)/

/** Operates a sentinel set that has been formed. */
export class PrivateSentinelSet implements SentinelSet {
  readonly name: typeof MASTER_NAME = MASTER_NAME
  readonly servers: readonly RedisServer[]
  readonly sentinelServers: readonly RedisServer[]

  constructor(servers: readonly RedisServer[], sentinelServers: readonly RedisServer[]) {
    this.servers = servers
    this.sentinelServers = sentinelServers
  }

  get sentinels(): readonly Address[] {
    return this.sentinelServers.map(({ host, port }) => ({ host, port }))
  }

  async master(): Promise<Address> {
    const port = await waitFor(() => this.#agreedPort(), {
      describe: 'the sentinels to agree on the master',
    })
    return addressOf(this.#serverAt(port))
  }

  async masterServer(): Promise<RedisServer> {
    return this.#serverAt((await this.master()).port)
  }

  async failover(): Promise<Address> {
    const old = await this.master()
    const client = this.#runningSentinels()[0]?.client()
    if (!client) throw new Error('no sentinel runs')
    await waitFor(() => startFailover(client), {
      describe: 'the sentinels to begin a failover',
      timeoutMs: FAILOVER_TIMEOUT_MS,
    })
    return this.promoted(old)
  }

  promoted(old: Address): Promise<Address> {
    return waitFor(
      async () => {
        const port = await this.#agreedPort()
        if (port === undefined || port === old.port) return undefined
        const server = this.#serverAt(port)
        const isMaster = (await server.client().info('replication')).includes('role:master')
        return isMaster ? addressOf(server) : undefined
      },
      {
        describe: `the sentinels to replace the master at port ${old.port}`,
        timeoutMs: FAILOVER_TIMEOUT_MS,
      },
    )
  }

  [Symbol.asyncDispose](): Promise<void> {
    return disposeAll([...this.sentinelServers, ...this.servers])
  }

  async #agreedPort(): Promise<number | undefined> {
    const ports = new Set(await Promise.all(this.#runningSentinels().map(watchedPort)))
    return ports.size === 1 ? [...ports][0] : undefined
  }

  #runningSentinels(): readonly RedisServer[] {
    return this.sentinelServers.filter((sentinel) => sentinel.running)
  }

  #serverAt(port: number): RedisServer {
    const server = this.servers.find((one) => one.port === port)
    if (!server) throw new Error(`no server of this set listens on port ${port}`)
    return server
  }
}

async function watchedPort(sentinel: RedisServer): Promise<number | undefined> {
  const reply = await sentinel.client().call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', MASTER_NAME)
  return Array.isArray(reply) ? Number(reply[1]) : undefined
}

async function startFailover(sentinel: Redis): Promise<boolean> {
  try {
    await sentinel.call('SENTINEL', 'FAILOVER', MASTER_NAME)
    return true
  } catch (error) {
    if (error instanceof Error && NOT_YET.test(error.message)) return false
    throw error
  }
}

function addressOf({ host, port }: RedisServer): Address {
  return { host, port }
}
