import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { LOOPBACK } from '../server/free-port.ts'
import {
  chosenBinary,
  disposeAll,
  type RedisServer,
  startAll,
  startPrivateServer,
} from '../server/private-server.ts'
import { startRedis } from '../server/redis-server.ts'
import type { ServerBinary } from '../server/server-binary.ts'
import { waitFor } from '../wait-for.ts'
import { MASTER_NAME, PrivateSentinelSet, type SentinelSet } from './sentinel-set.ts'

/** How {@link startSentinel} builds a sentinel set. */
export interface StartSentinelOptions {
  /** @defaultValue 2 */
  readonly replicas?: number
  /** @defaultValue 3, of which a majority must see the master down */
  readonly sentinels?: number
  /**
   * After this many milliseconds without an answer a sentinel takes the master for down.
   * @defaultValue 1_000
   */
  readonly downAfterMs?: number
  /** The program; without it, whatever is found on PATH. */
  readonly binary?: ServerBinary | undefined
}

const DEFAULTS = Object.freeze({ replicas: 2, sentinels: 3, downAfterMs: 1_000 })
const FAILOVER_TIMEOUT_MS = 5_000
const SENTINEL_READY = /\+monitor master/

/**
 * Starts a master, its replicas and the sentinels that watch them on loopback, and waits until every
 * replica is in sync and every sentinel knows all the others: from then on a failover can succeed.
 */
export async function startSentinel(options: StartSentinelOptions = {}): Promise<SentinelSet> {
  const { replicas, sentinels, downAfterMs, binary: given } = { ...DEFAULTS, ...options }
  const binary = await chosenBinary(given)
  const started: RedisServer[] = []
  try {
    const master = await startRedis({ binary })
    started.push(master)
    const replicaArgs = ['--replicaof', master.host, String(master.port)]
    started.push(
      ...(await startAll(
        Array.from({ length: replicas }, () => startRedis({ binary, args: replicaArgs })),
      )),
    )
    const servers = [...started]
    const quorum = Math.floor(sentinels / 2) + 1
    const watch = { masterPort: master.port, quorum, downAfterMs }
    const watchers = await startAll(
      Array.from({ length: sentinels }, () => startWatcher(binary, watch)),
    )
    started.push(...watchers)
    await waitFor(() => settled(servers, watchers), {
      describe: 'the sentinel set to settle',
      timeoutMs: 60_000,
    })
    return new PrivateSentinelSet(servers, watchers)
  } catch (error) {
    await disposeAll(started)
    throw error
  }
}

interface Watch {
  readonly masterPort: number
  readonly quorum: number
  readonly downAfterMs: number
}

function startWatcher(binary: ServerBinary, watch: Watch): Promise<RedisServer> {
  return startPrivateServer({
    binary,
    clusterBus: false,
    ready: SENTINEL_READY,
    args: async (port, dir) => {
      // A sentinel keeps what it learns in this file, so each needs its own, and writes it anew at will.
      const file = join(dir, 'sentinel.conf')
      await writeFile(file, sentinelConfiguration(port, dir, watch))
      return [file, '--sentinel']
    },
  })
}

function sentinelConfiguration(port: number, dir: string, watch: Watch): string {
  const { masterPort, quorum, downAfterMs } = watch
  return [
    `port ${port}`,
    `bind ${LOOPBACK}`,
    `dir "${dir}"`,
    `sentinel monitor ${MASTER_NAME} ${LOOPBACK} ${masterPort} ${quorum}`,
    `sentinel down-after-milliseconds ${MASTER_NAME} ${downAfterMs}`,
    `sentinel failover-timeout ${MASTER_NAME} ${FAILOVER_TIMEOUT_MS}`,
    `sentinel parallel-syncs ${MASTER_NAME} 1`,
    '',
  ].join('\n')
}

async function settled(
  servers: readonly RedisServer[],
  watchers: readonly RedisServer[],
): Promise<boolean> {
  const [, ...replicas] = servers
  const links = await Promise.all(replicas.map((replica) => replica.client().info('replication')))
  if (!links.every((link) => link.includes('master_link_status:up'))) return false
  const known = `slaves=${replicas.length},sentinels=${watchers.length}`
  const views = await Promise.all(watchers.map((watcher) => watcher.client().info('sentinel')))
  if (!views.every((view) => view.includes(known))) return false
  const quorums = await Promise.all(
    watchers.map((watcher) => watcher.client().call('SENTINEL', 'CKQUORUM', MASTER_NAME)),
  )
  return quorums.every((answer) => String(answer).startsWith(`OK ${watchers.length} `))
}
