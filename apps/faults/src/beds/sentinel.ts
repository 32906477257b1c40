import type { RedisAddress } from '@millrace/runtime'
import {
  type RedisServer,
  type SentinelSet,
  type ServerBinary,
  startSentinel,
  waitFor,
} from '@millrace/testkit'
import type { Bed } from './bed.ts'

const MEND_TIMEOUT_MS = 30_000

/** A master with two replicas, watched by three sentinels. */
export class SentinelBed implements Bed {
  readonly topology = 'sentinel'
  readonly set: SentinelSet

  private constructor(set: SentinelSet) {
    this.set = set
  }

  static async start(binary?: ServerBinary): Promise<SentinelBed> {
    return new SentinelBed(await startSentinel({ binary }))
  }

  addressOf(): RedisAddress {
    const { sentinels, name } = this.set
    return { sentinels: sentinels.map(({ host, port }) => `redis://${host}:${port}`), name }
  }

  masterOf(): Promise<RedisServer> {
    return this.set.masterServer()
  }

  /** Sets something on every server that runs. */
  async configure(name: string, value: string): Promise<void> {
    const running = this.set.servers.filter((server) => server.running)
    await Promise.all(running.map((server) => server.client().config('SET', name, value)))
  }

  async mend(): Promise<void> {
    for (const server of this.set.servers) if (!server.running) await server.restart()
    await this.configure('min-replicas-to-write', '0')
    await waitFor(() => this.#inSync(), {
      describe: 'the replicas to be in sync again',
      timeoutMs: MEND_TIMEOUT_MS,
      everyMs: 50,
    })
  }

  /** One server is the master and all others have what it has. */
  async #inSync(): Promise<boolean> {
    const master = await this.set.masterServer()
    const others = this.set.servers.filter((server) => server !== master)
    const states = await Promise.all(others.map((one) => one.client().info('replication')))
    return states.every(
      (state) =>
        state.includes(`master_port:${master.port}\r\n`) && state.includes('master_link_status:up'),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.set[Symbol.asyncDispose]()
  }
}
