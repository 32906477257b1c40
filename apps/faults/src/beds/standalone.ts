import type { RedisAddress } from '@millrace/runtime'
import {
  type FaultProxy,
  type RedisServer,
  type ServerBinary,
  startFaultProxy,
  startRedis,
} from '@millrace/testkit'
import { type ProcessName, processNames } from '../cast/parts.ts'
import type { Bed } from './bed.ts'

/** What faults change, and what it is set to before each. */
const SETTINGS = {
  maxmemory: '0',
  'maxmemory-policy': 'noeviction',
  maxclients: '10000',
  'min-replicas-to-write': '0',
  save: '',
  dbfilename: 'dump.rdb',
  'key-load-delay': '0',
  'busy-reply-threshold': '5000',
} as const

/**
 * One server that keeps every acknowledged write (an append-only file, flushed at each), and between it
 * and every process of the cast a link that can be made to fail.
 */
export class StandaloneBed implements Bed {
  readonly topology = 'standalone'
  readonly server: RedisServer
  readonly #links: ReadonlyMap<ProcessName, FaultProxy>

  private constructor(server: RedisServer, links: ReadonlyMap<ProcessName, FaultProxy>) {
    this.server = server
    this.#links = links
  }

  static async start(binary?: ServerBinary): Promise<StandaloneBed> {
    const args = ['--appendfsync', 'always']
    const server = await startRedis({ persistence: true, args, binary })
    const links = new Map<ProcessName, FaultProxy>()
    for (const name of processNames) links.set(name, await startFaultProxy(server))
    return new StandaloneBed(server, links)
  }

  /** The links of some processes, or of all. */
  links(...names: readonly ProcessName[]): readonly FaultProxy[] {
    const chosen = names.length === 0 ? processNames : names
    return chosen.flatMap((name) => this.#links.get(name) ?? [])
  }

  addressOf(process: ProcessName): RedisAddress {
    const [link] = this.links(process)
    return link?.url ?? this.server.url
  }

  masterOf(): Promise<RedisServer> {
    return Promise.resolve(this.server)
  }

  /** Changes a setting of the server while it runs. */
  async set(name: keyof typeof SETTINGS, value: string): Promise<void> {
    await this.server.client().config('SET', name, value)
  }

  async reset(name: keyof typeof SETTINGS): Promise<void> {
    await this.set(name, SETTINGS[name])
  }

  async mend(): Promise<void> {
    await Promise.all(this.links().map((link) => link.heal()))
    if (!this.server.running) await this.server.restart()
    for (const [name, value] of Object.entries(SETTINGS))
      await this.server.client().config('SET', name, value)
    await this.server.client().call('ACL', 'SETUSER', 'default', '+@all')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.links().map((link) => link[Symbol.asyncDispose]()))
    await this.server[Symbol.asyncDispose]()
  }
}
