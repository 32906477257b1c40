import {
  type RedisCluster,
  type RedisServer,
  type SentinelSet,
  type ServerBinary,
  startCluster,
  startRedis,
  startSentinel,
} from '@millrace/testkit'
import type { RedisAddress } from '../../src/index.ts'
import type { Arrangement } from './servers.ts'

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
        servers: [server],
        masterOf: () => Promise.resolve(server),
        [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
      }
    }
    case 'sentinel': {
      const sentinel = await startSentinel({ binary })
      return {
        features,
        address: {
          sentinels: sentinel.sentinels.map(({ host, port }) => `redis://${host}:${port}`),
          name: sentinel.name,
        },
        servers: sentinel.servers,
        masterOf: () => sentinel.masterServer(),
        sentinel,
        [Symbol.asyncDispose]: () => sentinel[Symbol.asyncDispose](),
      }
    }
    case 'cluster': {
      const cluster = await startCluster({ binary })
      return {
        features,
        address: { cluster: cluster.seeds },
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

function featuresOf(arrangement: Arrangement, { product, version }: ServerBinary): Features {
  return { arrangement, product, version, slots: arrangement === 'cluster' }
}
