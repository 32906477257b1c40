import type { RedisOptions } from 'ioredis'
import slotOf from 'cluster-key-slot'
import { messageOf, MillraceError } from '../errors.ts'
import type { HostPort, ResolvedConnectOptions } from './options.ts'
import { openSession } from './session.ts'

/** Which node serves which streams. Only a cluster has more than one. */
export interface Topology {
  /** The node that serves the streams of this tag; undefined until the cluster said so. */
  nodeFor(tag: string): string | undefined
  /** How to connect to the node. */
  options(node: string): RedisOptions
  /** Asks again who serves what, after a redirection or a failure. Never rejects twice at once. */
  refresh(): Promise<void>
}

const ONLY_NODE = 'primary'

export function topologyOf(options: ResolvedConnectOptions): Topology {
  const { address } = options
  if (address.kind === 'cluster') return new ClusterTopology(address.seeds, address.node, options)
  return {
    nodeFor: () => ONLY_NODE,
    options: () => address.node,
    // A sentinel set is asked whenever a connection is opened.
    refresh: () => Promise.resolve(),
  }
}

/**
 * The slot map of a Redis Cluster. Redirections are not followed one command at a time: whoever meets
 * one has the map read anew and sends its whole window of commands again to the right node.
 */
class ClusterTopology implements Topology {
  readonly #seeds: readonly HostPort[]
  readonly #node: RedisOptions
  readonly #options: ResolvedConnectOptions
  readonly #slots: (string | undefined)[] = new Array<string | undefined>(16_384)
  readonly #known = new Map<string, HostPort>()
  #refreshing: Promise<void> | undefined

  constructor(seeds: readonly HostPort[], node: RedisOptions, options: ResolvedConnectOptions) {
    this.#seeds = seeds
    this.#node = node
    this.#options = options
  }

  nodeFor(tag: string): string | undefined {
    return this.#slots[slotOf(tag)]
  }

  options(node: string): RedisOptions {
    const { host, port } = this.#known.get(node) ?? { host: '127.0.0.1', port: 6379 }
    return { ...this.#node, host, port }
  }

  refresh(): Promise<void> {
    this.#refreshing ??= this.#read().finally(() => {
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  async #read(): Promise<void> {
    const problems: Error[] = []
    for (const candidate of [...this.#known.values(), ...this.#seeds]) {
      try {
        this.#learn(await this.#ask(candidate), candidate)
        return
      } catch (error) {
        problems.push(error instanceof Error ? error : new Error(messageOf(error)))
      }
    }
    const last = problems.at(-1)
    if (problems.every((p) => p instanceof MillraceError && !p.retryable) && last !== undefined) throw last
    throw new MillraceError('UNAVAILABLE', `No node of the cluster answers: ${messageOf(last)}`, {
      cause: new AggregateError(problems),
    })
  }

  async #ask(candidate: HostPort): Promise<unknown> {
    const session = await openSession({
      purpose: 'discovery',
      node: { ...this.#node, ...candidate },
      clientName: this.#options.clientName,
      connectTimeoutMs: Math.min(this.#options.connectTimeoutMs, 1_000),
    })
    try {
      return await session.client.call('cluster', 'slots')
    } finally {
      session.end('the slot map was read')
    }
  }

  #learn(reply: unknown, asked: HostPort): void {
    if (!Array.isArray(reply) || reply.length === 0) {
      throw new MillraceError('UNAVAILABLE', 'the node knows no slots of the cluster')
    }
    this.#slots.fill(undefined)
    this.#known.clear()
    for (const range of reply as unknown[]) {
      const [from, to, master] = range as [number, number, [string | null, number]]
      // A node that does not know its own address says '' or null: it is the one that was asked.
      const host = master[0] === null || master[0] === '' ? asked.host : master[0]
      const key = `${host}:${master[1]}`
      this.#known.set(key, { host, port: Number(master[1]) })
      this.#slots.fill(key, Number(from), Number(to) + 1)
    }
  }
}
