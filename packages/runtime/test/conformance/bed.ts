import type { Redis } from 'ioredis'
import { expectNoLeaks } from '@millrace/testkit'
import {
  connect,
  type ConnectOptions,
  defineStream,
  type EventStream,
  type Fact,
  type Millrace,
  type RedisAddress,
  type StreamOptions,
} from '../../src/index.ts'
import type { Arrangement } from './servers.ts'
import type { Features, Topology } from './topology.ts'
import { startWorker, type WorkerPlan, type WorkerProcess } from './worker-process.ts'

/** The payload of all cases: a number that rises in the order of publishing, and at times a key. */
export interface Reading {
  readonly n: number
  readonly key?: string
}

/** An entry as it lies in the stream. */
export interface StoredReading extends Reading {
  readonly id: string
}

/** What a case works with: the servers of its entry of the matrix, under a prefix of its own. */
export class ConformanceBed {
  readonly arrangement: Arrangement
  #open = new AsyncDisposableStack()
  #topology: Topology | undefined
  #cases = 0
  #streams = 0

  constructor(arrangement: Arrangement) {
    this.arrangement = arrangement
  }

  begin(topology: Topology | undefined): void {
    this.#topology = topology
  }

  get topology(): Topology {
    if (this.#topology === undefined) throw new Error('the servers have not been started')
    return this.#topology
  }

  get features(): Features {
    return this.topology.features
  }

  get prefix(): string {
    return `case-${this.#cases}:`
  }

  /** Something to end after the case, before what was opened earlier. */
  onClose(closer: () => unknown): void {
    this.#open.defer(async () => {
      await closer()
    })
  }

  /** What one process has. Reads block for half a second only, so that quiet streams are looked at soon. */
  async open(
    options: ConnectOptions = {},
    address: RedisAddress = this.topology.address,
  ): Promise<Millrace> {
    const millrace = await connect(address, {
      blockMs: 500,
      prefix: this.prefix,
      ...options,
    })
    this.onClose(() => millrace.close({ deadlineMs: 2_000 }))
    return millrace
  }

  /** A stream that no other case uses. Names differ, so that in a cluster they spread over the masters. */
  stream(options: StreamOptions<Reading> = {}): EventStream<Reading, Reading> {
    return defineStream<Reading>(`readings-${++this.#streams}`, options)
  }

  key(stream: StreamName, companion = ''): string {
    return `${this.prefix}{${stream.colocate ?? stream.name}}${stream.name}${companion}`
  }

  /** A connection of the test's own to the server that has the stream at the moment. */
  async redis(stream: StreamName): Promise<Redis> {
    return (await this.topology.masterOf(this.key(stream))).client()
  }

  /** Everything that lies in the stream, as Redis has it. */
  async stored(stream: StreamName, companion = ''): Promise<StoredReading[]> {
    const redis = await this.redis(stream)
    const entries = await redis.xrange(this.key(stream, companion), '-', '+')
    return entries.map(([id, fields]) => {
      const at = fields.indexOf('data')
      const reading = JSON.parse(fields[at + 1] ?? 'null') as Reading
      return Object.assign(reading, { id })
    })
  }

  /** The truth about a consumer. */
  async state(stream: StreamName, name: string): Promise<Record<string, string>> {
    return (await this.redis(stream)).hgetall(this.key(stream, `:state:${name}`))
  }

  /** What any Redis tool sees of a consumer or a group: its row of XINFO GROUPS. */
  async image(stream: StreamName, name: string): Promise<Record<string, unknown>> {
    const redis = await this.redis(stream)
    const rows = (await redis.xinfo('GROUPS', this.key(stream))) as unknown[][]
    const records = rows.map((flat) => {
      const record: Record<string, unknown> = {}
      for (let i = 0; i + 1 < flat.length; i += 2) record[String(flat[i])] = flat[i + 1]
      return record
    })
    return records.find((record) => record['name'] === name) ?? {}
  }

  /** Gathers what a channel tells during the case. */
  gather<Message extends object>(fact: Fact<Message>): Message[] {
    const messages: Message[] = []
    this.onClose(fact.subscribe((message) => messages.push(message)))
    return messages
  }

  /** A process of its own, for cases that kill or stop it. */
  worker(plan: Omit<WorkerPlan, 'address' | 'prefix'>): WorkerProcess {
    const worker = startWorker({ ...plan, address: this.topology.address, prefix: this.prefix })
    this.onClose(() => worker.end())
    return worker
  }

  /** Cuts every connection of the runtime, on all servers. */
  async cutConnections(): Promise<void> {
    for (const server of this.topology.servers.filter(({ running }) => running)) {
      const list = String(await server.client().client('LIST'))
      for (const line of list.split('\n')) {
        const id = /^id=(\d+) .* name=millrace:/.exec(line)?.[1]
        if (id !== undefined) await server.client().call('CLIENT', 'KILL', 'ID', id)
      }
    }
  }

  async closeAll(): Promise<void> {
    const open = this.#open
    this.#open = new AsyncDisposableStack()
    // A case that is tried again gets a prefix of its own as well, whatever went wrong.
    this.#cases++
    await open.disposeAsync()
    for (const server of this.topology.servers) if (server.running) await expectNoLeaks(server)
  }
}

type StreamName = Pick<EventStream<never, unknown>, 'colocate' | 'name'>

/** The numbers from `first` on. */
export function range(count: number, first = 0): number[] {
  return Array.from({ length: count }, (_, i) => first + i)
}

export function readings(count: number, first = 0): Reading[] {
  return range(count, first).map((n) => ({ n }))
}
