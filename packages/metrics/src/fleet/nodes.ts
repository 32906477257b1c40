import slotOf from 'cluster-key-slot'
import type { FleetAddress, HostPort } from './fleet-address.ts'
import { FleetNode, type Manner, type Reply } from './node.ts'
import { listOf, textOf } from './stream-reading.ts'

/** After so long without an answer another node is asked who serves what, in milliseconds. */
const PATIENCE_MS = 500

/** The servers of one Redis: one, or the masters of a cluster. */
export interface Nodes {
  /** Finds out which there are now. Answers what failed, if it did; the ones known before stay then. */
  refresh(signal: AbortSignal): Promise<Reply | undefined>
  readonly all: readonly FleetNode[]
  /** The one that serves the key; undefined while nobody does. */
  of(key: string): FleetNode | undefined
  /** As redis_exporter writes it. */
  readonly db: string
  close(): void
}

export function nodesOf(address: FleetAddress, manner: Manner): Nodes {
  if (address.kind === 'cluster') return new ClusterNodes(address, manner)
  const node = new FleetNode(address.name, address.node, manner)
  return {
    refresh: () => Promise.resolve(undefined),
    all: [node],
    of: () => node,
    db: `db${address.node.db ?? 0}`,
    close: () => {
      node.close()
    },
  }
}

class ClusterNodes implements Nodes {
  readonly db = 'db0'
  readonly #address: Extract<FleetAddress, { kind: 'cluster' }>
  readonly #manner: Manner
  /** Masters that serve slots, by address. */
  #masters = new Map<string, FleetNode>()
  readonly #seeds: FleetNode[]
  #slots: (FleetNode | undefined)[] = []
  #asked: FleetNode | undefined

  constructor(address: Extract<FleetAddress, { kind: 'cluster' }>, manner: Manner) {
    this.#address = address
    this.#manner = manner
    this.#seeds = address.seeds.map((seed) => this.#node(seed))
  }

  get all(): readonly FleetNode[] {
    return [...this.#masters.values()]
  }

  of(key: string): FleetNode | undefined {
    return this.#slots[slotOf(key)]
  }

  async refresh(signal: AbortSignal): Promise<Reply | undefined> {
    let failed: Reply | undefined
    const masters = [...this.#masters.values()]
    // The one that answered last first. Seeds that are not in use are let go of again.
    const inOrder = masters.toSorted(
      (a, b) => Number(b === this.#asked) - Number(a === this.#asked),
    )
    for (const node of [...inOrder, ...this.#seeds]) {
      const reply = await node.one(
        ['cluster', 'slots'],
        AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]),
      )
      if (!masters.includes(node)) node.close()
      if (reply.failure === undefined && listOf(reply.value).length > 0) {
        const host = node.name.slice(0, node.name.lastIndexOf(':'))
        this.#learn(listOf(reply.value), host)
        this.#asked = this.#masters.get(node.name)
        return undefined
      }
      failed = reply
      if (signal.aborted) break
    }
    return failed ?? { failure: 'connection', error: undefined }
  }

  close(): void {
    for (const node of [...this.#masters.values(), ...this.#seeds]) node.close()
    this.#masters.clear()
    this.#slots = []
  }

  #learn(ranges: readonly unknown[], askedHost: string): void {
    const before = this.#masters
    const masters = new Map<string, FleetNode>()
    const slots: (FleetNode | undefined)[] = []
    for (const range of ranges) {
      const [from, to, master] = listOf(range)
      const [host, port] = listOf(master)
      // A node that does not know its own address is the one that was asked.
      const place = { host: textOf(host) || askedHost, port: Number(port) }
      const name = `${place.host}:${place.port}`
      const node = masters.get(name) ?? before.get(name) ?? this.#node(place)
      masters.set(name, node)
      for (let slot = Number(from); slot <= Number(to); slot++) slots[slot] = node
    }
    for (const [name, node] of before) if (!masters.has(name)) node.close()
    this.#masters = masters
    this.#slots = slots
  }

  #node(place: HostPort): FleetNode {
    const options = { ...this.#address.node, ...place }
    return new FleetNode(`${place.host}:${place.port}`, options, this.#manner)
  }
}
