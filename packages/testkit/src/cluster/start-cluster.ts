import { disposeAll, type RedisServer, startAll } from '../server/private-server.ts'
import { startRedis } from '../server/redis-server.ts'
import type { ServerBinary } from '../server/server-binary.ts'
import { waitFor } from '../wait-for.ts'
import { evenSlots } from './cluster-view.ts'
import {
  type ClusterNode,
  clusterViews,
  PrivateCluster,
  type RedisCluster,
} from './redis-cluster.ts'

/** How {@link startCluster} builds a cluster. */
export interface StartClusterOptions {
  /** @defaultValue 3, the fewest that can vote on a failure */
  readonly masters?: number
  /** @defaultValue 1 */
  readonly replicasPerMaster?: number
  /**
   * After this many milliseconds without an answer a node counts as failing. Promotion of a replica takes
   * about twice as long. Lower is faster and, on a busy machine, sees failures where there are none.
   * @defaultValue 2_000
   */
  readonly nodeTimeoutMs?: number
  /** The program; without it, whatever is found on PATH. */
  readonly binary?: ServerBinary | undefined
}

const DEFAULTS = Object.freeze({ masters: 3, replicasPerMaster: 1, nodeTimeoutMs: 2_000 })

/**
 * Starts a cluster on loopback and waits until it has settled: every node knows every slot's owner and
 * every replica, and every replica is in sync.
 */
export async function startCluster(options: StartClusterOptions = {}): Promise<RedisCluster> {
  const { masters, replicasPerMaster, nodeTimeoutMs, binary } = { ...DEFAULTS, ...options }
  const count = masters * (1 + replicasPerMaster)
  const args = nodeArguments(nodeTimeoutMs)
  const servers = await startAll(Array.from({ length: count }, () => startRedis({ binary, args })))
  try {
    const nodes = await Promise.all(servers.map(withId))
    await form(nodes, masters)
    return new PrivateCluster(nodes)
  } catch (error) {
    await disposeAll(servers)
    throw error
  }
}

function nodeArguments(nodeTimeoutMs: number): readonly string[] {
  return [
    ['--cluster-enabled', 'yes'],
    ['--cluster-config-file', 'nodes.conf'],
    ['--cluster-node-timeout', String(nodeTimeoutMs)],
    // A master that has lost its slots keeps its replica, so that tests can move slots about.
    ['--cluster-allow-replica-migration', 'no'],
  ].flat()
}

async function withId(server: RedisServer): Promise<ClusterNode> {
  return Object.assign(server, { id: await server.client().cluster('MYID') })
}

async function form(nodes: readonly ClusterNode[], masterCount: number): Promise<void> {
  const masters = nodes.slice(0, masterCount)
  const replicas = nodes.slice(masterCount)
  for (const [index, node] of nodes.entries()) {
    // Distinct from the start; equal ones are told apart only one by one, at each collision.
    await node.client().call('CLUSTER', 'SET-CONFIG-EPOCH', index + 1)
  }
  for (const [index, range] of evenSlots(masterCount).entries()) {
    await masters[index]?.client().call('CLUSTER', 'ADDSLOTSRANGE', range.from, range.to)
  }
  // Every pair meets, so that nobody has to wait for gossip to hear of anybody.
  for (const [index, node] of nodes.entries()) await meet(node, nodes.slice(index + 1))
  await waitFor(() => everyoneKnows(nodes, nodes.length), { describe: 'the nodes to meet' })

  for (const [index, replica] of replicas.entries()) {
    const master = masters[index % masterCount]
    if (master) await replica.client().cluster('REPLICATE', master.id)
  }
  // A node hears that another one has become a replica from that one's own packets, about one a second.
  // The greeting of a second meeting is such a packet, and saves the wait.
  for (const replica of replicas)
    await meet(
      replica,
      nodes.filter((node) => node !== replica),
    )
  await waitFor(() => settled(nodes, replicas), {
    describe: 'the cluster to settle',
    timeoutMs: 60_000,
  })
}

async function meet(node: ClusterNode, others: readonly ClusterNode[]): Promise<void> {
  for (const other of others) await node.client().cluster('MEET', other.host, other.port)
}

async function everyoneKnows(nodes: readonly ClusterNode[], count: number): Promise<boolean> {
  const views = await clusterViews(nodes)
  return (
    views.length === nodes.length &&
    views.every((view) => view.length === count && view.every((node) => !node.handshake))
  )
}

async function settled(
  nodes: readonly ClusterNode[],
  replicas: readonly ClusterNode[],
): Promise<boolean> {
  const views = await clusterViews(nodes)
  const replicasKnown = views.every((view) => {
    return (
      view.length === nodes.length &&
      view.filter((node) => node.role === 'replica').length === replicas.length
    )
  })
  if (views.length < nodes.length || !replicasKnown) return false
  const states = await Promise.all(nodes.map((node) => node.client().cluster('INFO')))
  if (!states.every((state) => state.includes('cluster_state:ok'))) return false
  const links = await Promise.all(replicas.map((node) => node.client().info('replication')))
  return links.every((link) => link.includes('master_link_status:up'))
}
