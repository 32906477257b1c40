import type { RedisAddress } from '@millrace/runtime'
import {
  type RedisCluster,
  type RedisServer,
  type ServerBinary,
  startCluster,
  waitFor,
} from '@millrace/testkit'
import type { Bed } from './bed.ts'

const MEND_TIMEOUT_MS = 60_000

/** Three masters with a replica each; a node that does not answer for two seconds is taken for failed. */
export class ClusterBed implements Bed {
  readonly topology = 'cluster'
  readonly cluster: RedisCluster

  private constructor(cluster: RedisCluster) {
    this.cluster = cluster
  }

  static async start(binary?: ServerBinary): Promise<ClusterBed> {
    return new ClusterBed(await startCluster({ nodeTimeoutMs: 2_000, binary }))
  }

  addressOf(): RedisAddress {
    return { cluster: this.cluster.seeds }
  }

  async masterOf(key: string): Promise<RedisServer> {
    return this.cluster.masterOf(await this.cluster.slotOf(key))
  }

  async configure(name: string, value: string): Promise<void> {
    const running = this.cluster.nodes.filter((server) => server.running)
    await Promise.all(running.map((server) => server.client().config('SET', name, value)))
  }

  async mend(): Promise<void> {
    for (const node of this.cluster.nodes) if (!node.running) await node.restart()
    await this.configure('min-replicas-to-write', '0')
    await waitFor(() => this.#whole(), {
      describe: 'the cluster to be whole again',
      timeoutMs: MEND_TIMEOUT_MS,
      everyMs: 50,
    })
  }

  /** Every node says that all is well, half of them are replicas, and those are in sync. */
  async #whole(): Promise<boolean> {
    const { nodes } = this.cluster
    const states = await Promise.all(nodes.map((node) => node.client().cluster('INFO')))
    if (!states.every((state) => state.includes('cluster_state:ok'))) return false
    const links = await Promise.all(nodes.map((node) => node.client().info('replication')))
    const replicas = links.filter((link) => link.includes('role:slave'))
    return (
      replicas.length === nodes.length / 2 &&
      replicas.every((link) => link.includes('master_link_status:up'))
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cluster[Symbol.asyncDispose]()
  }
}
