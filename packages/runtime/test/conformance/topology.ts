import { setTimeout as delay } from 'node:timers/promises'
import {
  type RedisCluster,
  type RedisServer,
  type SentinelSet,
  type ServerBinary,
  startCluster,
  startRedis,
  startSentinel,
  waitFor,
} from '@millrace/testkit'
import type { RedisAddress } from '../../src/index.ts'
import type { Arrangement } from './servers.ts'

const ANSWER_TIMEOUT_MS = 300

/** What cases may ask of the servers that they run on. */
export interface Features {
  readonly arrangement: Arrangement
  readonly product: 'redis' | 'valkey'
  readonly version: string
  /** Streams of different tags lie on different nodes, and one blocking read serves one tag. */
  readonly slots: boolean
}

/** Running servers, and what is needed to look behind the runtime's back. */
export interface Topology extends AsyncDisposable {
  readonly features: Features
  readonly address: RedisAddress
  /** The same servers, as another user. */
  addressFor(username: string, password: string): RedisAddress
  /** All data servers, whatever they are at the moment. */
  readonly servers: readonly RedisServer[]
  /** The server that takes writes to the key at the moment. */
  masterOf(key: string): Promise<RedisServer>
  readonly cluster?: RedisCluster
  readonly sentinel?: SentinelSet
}

export async function startTopology(
  arrangement: Arrangement,
  binary: ServerBinary,
): Promise<Topology> {
  const features = featuresOf(arrangement, binary)
  switch (arrangement) {
    case 'standalone': {
      const server = await startRedis({ binary })
      return {
        features,
        address: server.url,
        addressFor: (username, password) => urlFor(server.url, username, password),
        servers: [server],
        masterOf: () => Promise.resolve(server),
        [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
      }
    }
    case 'sentinel': {
      const sentinel = await startSentinel({ binary })
      const address = {
        sentinels: sentinel.sentinels.map(({ host, port }) => `redis://${host}:${port}`),
        name: sentinel.name,
      }
      return {
        features,
        address,
        addressFor: (username, password) => ({ ...address, username, password }),
        servers: sentinel.servers,
        masterOf: () => masterOf(sentinel),
        sentinel,
        [Symbol.asyncDispose]: () => sentinel[Symbol.asyncDispose](),
      }
    }
    case 'cluster': {
      const cluster = await startCluster({ binary })
      return {
        features,
        address: { cluster: cluster.seeds },
        addressFor: (username, password) => ({
          cluster: cluster.seeds.map((url) => urlFor(url, username, password)),
        }),
        servers: cluster.nodes,
        masterOf: async (key) => cluster.masterOf(await cluster.slotOf(key)),
        cluster,
        [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
      }
    }
    default:
      return arrangement satisfies never
  }
}

function urlFor(url: string, username: string, password: string): string {
  return url.replace('://', `://${username}:${password}@`)
}

/** Where the sentinels that answer say the master is, once they all say the same; one may stand still. */
function masterOf(sentinel: SentinelSet): Promise<RedisServer> {
  return waitFor(
    async () => {
      const running = sentinel.sentinelServers.filter((one) => one.running)
      const answers = await Promise.all(
        running.map((one) =>
          Promise.race([portAt(one, sentinel.name), delay(ANSWER_TIMEOUT_MS, undefined)]),
        ),
      )
      const ports = new Set(answers.filter((port) => port !== undefined))
      const [port] = ports
      return ports.size === 1 && sentinel.servers.find((one) => one.port === port)
    },
    { describe: 'the sentinels to agree on the master' },
  )
}

async function portAt(server: RedisServer, name: string): Promise<number> {
  const reply = await server.client().call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name)
  return Number((reply as string[])[1])
}

function featuresOf(arrangement: Arrangement, { product, version }: ServerBinary): Features {
  return { arrangement, product, version, slots: arrangement === 'cluster' }
}
