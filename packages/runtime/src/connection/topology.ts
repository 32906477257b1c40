import type { RedisOptions } from 'ioredis'
import slotOf from 'cluster-key-slot'
import { messageOf, MillraceError } from '../errors.ts'
import type { Clock } from '../lifecycle/clock.ts'
import { firstAnswer } from './first-answer.ts'
import type { HostPort, ResolvedConnectOptions } from './options.ts'
import { openSession } from './session.ts'

/** Which node serves which streams. Only a cluster has more than one. */
export interface Topology {
  /** The node that serves the streams of this tag; undefined until the cluster said so. */
  nodeFor(tag: string): string | undefined
  /** Whether any streams are with the node, as far as is known. */
  isInUse(node: string): boolean
  /** How to connect to the node, also when it serves nothing any more. */
  options(node: string): RedisOptions
  /** Asks again who serves what, after a redirection or a failure. Never rejects twice at once. */
  refresh(): Promise<void>
}

const ONLY_NODE = 'primary'
/** After so long without an answer another node is asked as well, in milliseconds. */
const PATIENCE_MS = 300
/** How long connecting to a node that is asked, and each of its answers, may take, in milliseconds. */
const DISCOVERY_TIMEOUT_MS = 1_000

export function topologyOf(options: ResolvedConnectOptions, clock: Clock): Topology {
  const { address } = options
  if (address.kind === 'cluster') {
    return new ClusterTopology(address.seeds, address.node, options, clock)
  }
  return {
    nodeFor: () => ONLY_NODE,
    isInUse: () => true,
    // Not always the same one first: it may be cut off and name an old master for ever.
    options: () => ({
      ...address.node,
      ...(address.kind === 'sentinel' ? { sentinels: fromAny(address.node.sentinels ?? []) } : {}),
    }),
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
  /** The masters, by name; names are addresses. */
  readonly #known = new Map<string, HostPort>()
  /** All nodes ever heard of: a connection may be on its way to one that serves nothing any more. */
  readonly #addresses = new Map<string, HostPort>()
  readonly #clock: Clock
  #refreshing: Promise<void> | undefined

  constructor(
    seeds: readonly HostPort[],
    node: RedisOptions,
    options: ResolvedConnectOptions,
    clock: Clock,
  ) {
    this.#seeds = seeds
    this.#node = node
    this.#options = options
    this.#clock = clock
  }

  nodeFor(tag: string): string | undefined {
    return this.#slots[slotOf(tag)]
  }

  isInUse(node: string): boolean {
    return this.#known.has(node)
  }

  options(node: string): RedisOptions {
    const address = this.#addresses.get(node)
    if (address === undefined)
      throw new MillraceError('INTERNAL', `Nobody has told of a node ${node}`)
    return { ...this.#node, ...address }
  }

  refresh(): Promise<void> {
    this.#refreshing ??= this.#read().finally(() => {
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  async #read(): Promise<void> {
    try {
      const { reply, asked } = await firstAnswer(
        this.#clock,
        this.#candidates(),
        async (candidate) => ({ reply: await this.#ask(candidate), asked: candidate }),
        PATIENCE_MS,
      )
      this.#learn(reply, asked)
    } catch (error) {
      const problems = error instanceof AggregateError ? (error.errors as unknown[]) : [error]
      const last = problems.at(-1)
      const lasting = problems.every((p) => p instanceof MillraceError && !p.retryable)
      if (lasting && last instanceof MillraceError) throw last
      throw new MillraceError('UNAVAILABLE', `No node of the cluster answers: ${messageOf(last)}`, {
        cause: error,
      })
    }
  }

  /**
   * Begins with any of the nodes: one that is cut off from the others goes on telling what it knew,
   * and must not be believed again and again.
   */
  #candidates(): HostPort[] {
    const byName = new Map(this.#known)
    for (const seed of this.#seeds) byName.set(nameOf(seed), seed)
    return fromAny([...byName.values()])
  }

  async #ask(candidate: HostPort): Promise<unknown> {
    const session = await openSession({
      purpose: 'discovery',
      node: { ...this.#node, ...candidate },
      clientName: this.#options.clientName,
      connectTimeoutMs: Math.min(this.#options.connectTimeoutMs, DISCOVERY_TIMEOUT_MS),
      replyTimeoutMs: DISCOVERY_TIMEOUT_MS,
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
      const address = { host, port: Number(master[1]) }
      const name = nameOf(address)
      this.#known.set(name, address)
      this.#addresses.set(name, address)
      this.#slots.fill(name, Number(from), Number(to) + 1)
    }
  }
}

/** The same list, beginning anywhere. */
function fromAny<T>(list: readonly T[]): T[] {
  const first = Math.floor(Math.random() * list.length)
  return [...list.slice(first), ...list.slice(0, first)]
}

function nameOf({ host, port }: HostPort): string {
  return `${host}:${port}`
}
