import { disposeAll, type RedisServer } from '../server/private-server.ts'
import { waitFor } from '../wait-for.ts'
import { type KnownNode, ownerOf, parseClusterNodes } from './cluster-view.ts'

/** A server of a cluster. */
export interface ClusterNode extends RedisServer {
  /** The node id, as in CLUSTER NODES. */
  readonly id: string
}

/** How {@link RedisCluster.moveSlot} moves a slot. */
export interface MoveSlotOptions {
  /** Runs while the slot is migrating and its keys are still at the source: the moment of ASK redirections. */
  readonly beforeKeys?: () => void | Promise<void>
  /** Runs when the keys are at the target and the slot still belongs to the source. */
  readonly afterKeys?: () => void | Promise<void>
}

/** A private cluster, ended by disposal or with this process. */
export interface RedisCluster extends AsyncDisposable {
  /** `redis://host:port` of every node. */
  readonly seeds: readonly string[]
  /** The masters of the start come first. */
  readonly nodes: readonly ClusterNode[]
  slotOf(key: string): Promise<number>
  /**
   * The slot's master as the newest view of the nodes that answer has it. A killed master stays it until
   * another one is promoted.
   */
  masterOf(slot: number): Promise<ClusterNode>
  /** The nodes that are masters now, by their own word. */
  masters(): Promise<readonly ClusterNode[]>
  /** The nodes that replicate the slot's master now. */
  replicasOf(slot: number): Promise<readonly ClusterNode[]>
  /**
   * Swaps the slot's master with a replica in the orderly way, and resolves to the new master when all
   * nodes that answer know it.
   */
  failover(slot: number): Promise<ClusterNode>
  /** Kills the slot's master and resolves to it at once; the promotion of its replica takes about two node timeouts. */
  killMaster(slot: number): Promise<ClusterNode>
  /** Resolves to the slot's master once it is another one than `old`, it runs, and all nodes that answer know it. */
  promoted(slot: number, old: ClusterNode): Promise<ClusterNode>
  /** Moves one slot with its keys to another master while clients go on. */
  moveSlot(slot: number, to: ClusterNode, options?: MoveSlotOptions): Promise<void>
}

/** A stopped process accepts a command and never answers; the view of such a node is not waited for. */
const VIEW_TIMEOUT_MS = 1_000
const FAILOVER_TIMEOUT_MS = 30_000
/** A manual failover that a node cannot carry out yet is dropped without a word, so it is asked for again. */
const ASK_AGAIN_AFTER_MS = 1_000
const MIGRATE_TIMEOUT_MS = 5_000
const KEYS_PER_MIGRATE = 100

/** The view of every node that runs and answers. */
export async function clusterViews(
  nodes: readonly RedisServer[],
): Promise<readonly (readonly KnownNode[])[]> {
  const views = await Promise.all(nodes.filter((node) => node.running).map(view))
  return views.filter((one) => one !== undefined)
}

/** Operates the nodes of a cluster that has been formed. */
export class PrivateCluster implements RedisCluster {
  readonly nodes: readonly ClusterNode[]

  constructor(nodes: readonly ClusterNode[]) {
    this.nodes = nodes
  }

  get seeds(): readonly string[] {
    return this.nodes.map((node) => node.url)
  }

  slotOf(key: string): Promise<number> {
    return this.#anyRunning().client().cluster('KEYSLOT', key)
  }

  async masterOf(slot: number): Promise<ClusterNode> {
    // On a busy machine it happens that no node answers in time.
    const owner = await waitFor(async () => ownerOf(slot, await clusterViews(this.nodes)), {
      describe: `a node that answers and knows an owner of slot ${slot}`,
    })
    return this.#nodeOf(owner.id)
  }

  async replicasOf(slot: number): Promise<readonly ClusterNode[]> {
    const master = await this.masterOf(slot)
    const views = await clusterViews(this.nodes)
    const selves = views.flat().filter((node) => node.myself && node.masterId === master.id)
    return selves.map((node) => this.#nodeOf(node.id))
  }

  async failover(slot: number): Promise<ClusterNode> {
    const old = await this.masterOf(slot)
    const candidates = await this.replicasOf(slot)
    const candidate = await waitFor(() => firstInSync(candidates), {
      describe: `a replica of slot ${slot} in sync`,
    })
    let askAt = 0
    await waitFor(
      async () => {
        if (performance.now() >= askAt) {
          await candidate.client().call('CLUSTER', 'FAILOVER')
          askAt = performance.now() + ASK_AGAIN_AFTER_MS
        }
        return (await roleOf(candidate)) === 'master'
      },
      { describe: `the replica at ${candidate.url} to take over`, timeoutMs: FAILOVER_TIMEOUT_MS },
    )
    return this.promoted(slot, old)
  }

  async killMaster(slot: number): Promise<ClusterNode> {
    const master = await this.masterOf(slot)
    await master.kill('SIGKILL')
    return master
  }

  promoted(slot: number, old: ClusterNode): Promise<ClusterNode> {
    return waitFor(
      async () => {
        const views = await clusterViews(this.nodes)
        const owners = new Set(views.map((one) => ownerOf(slot, [one])?.id))
        const [owner] = owners
        if (owners.size !== 1 || owner === undefined || owner === old.id) return undefined
        const node = this.#nodeOf(owner)
        return node.running ? node : undefined
      },
      { describe: `all nodes to know slot ${slot}'s new master`, timeoutMs: FAILOVER_TIMEOUT_MS },
    )
  }

  async masters(): Promise<readonly ClusterNode[]> {
    const selves = (await clusterViews(this.nodes)).flat().filter((node) => node.myself)
    return selves.filter((node) => node.role === 'master').map((node) => this.#nodeOf(node.id))
  }

  async moveSlot(slot: number, to: ClusterNode, options: MoveSlotOptions = {}): Promise<void> {
    const from = await this.masterOf(slot)
    if (from.id === to.id) return
    await to.client().cluster('SETSLOT', slot, 'IMPORTING', from.id)
    await from.client().cluster('SETSLOT', slot, 'MIGRATING', to.id)
    await options.beforeKeys?.()
    await moveKeys(slot, from, to)
    await options.afterKeys?.()
    // The target first: were the source to give the slot up before, nobody would own it.
    const masters = await this.masters()
    const inOrder = [to, from, ...masters.filter((node) => node !== to && node !== from)]
    for (const node of inOrder) await node.client().cluster('SETSLOT', slot, 'NODE', to.id)
    await waitFor(async () => this.#allKnow(slot, to), {
      describe: `all nodes to know slot ${slot}'s owner`,
    })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return disposeAll(this.nodes)
  }

  async #allKnow(slot: number, owner: ClusterNode): Promise<boolean> {
    const views = await clusterViews(this.nodes)
    return views.every((one) => ownerOf(slot, [one])?.id === owner.id)
  }

  #nodeOf(id: string): ClusterNode {
    const node = this.nodes.find((one) => one.id === id)
    if (!node) throw new Error(`node ${id} is none of this cluster's`)
    return node
  }

  #anyRunning(): ClusterNode {
    const node = this.nodes.find((one) => one.running)
    if (!node) throw new Error('no node of the cluster runs')
    return node
  }
}

async function moveKeys(slot: number, from: ClusterNode, to: ClusterNode): Promise<void> {
  for (;;) {
    const keys = await from.client().cluster('GETKEYSINSLOT', slot, KEYS_PER_MIGRATE)
    if (keys.length === 0) return
    const target = [to.host, to.port, '', 0, MIGRATE_TIMEOUT_MS] as const
    await from.client().call('MIGRATE', ...target, 'KEYS', ...keys)
  }
}

async function view(node: RedisServer): Promise<readonly KnownNode[] | undefined> {
  const { promise, resolve } = Promise.withResolvers<undefined>()
  const timer = setTimeout(() => resolve(undefined), VIEW_TIMEOUT_MS)
  try {
    const text = await Promise.race([node.client().call('CLUSTER', 'NODES'), promise])
    return typeof text === 'string' ? parseClusterNodes(text) : undefined
  } catch {
    // It ended meanwhile, which is as good as no answer.
    return undefined
  } finally {
    clearTimeout(timer)
  }
}

async function firstInSync(replicas: readonly ClusterNode[]): Promise<ClusterNode | undefined> {
  for (const node of replicas) {
    if ((await node.client().info('replication')).includes('master_link_status:up')) return node
  }
  return undefined
}

async function roleOf(node: ClusterNode): Promise<string> {
  return /^role:(\w+)/m.exec(await node.client().info('replication'))?.[1] ?? 'unknown'
}
