import type { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import {
  expectNoLeaks,
  type FaultProxy,
  type RedisServer,
  startFaultProxy,
  startRedis,
  type StartRedisOptions,
} from '@millrace/testkit'
import type { Fact } from '../src/diagnostics.ts'
import {
  connect,
  type ConnectOptions,
  defineStream,
  type EventStream,
  type Millrace,
  type StreamOptions,
} from '../src/index.ts'

/** The payload of most tests: a number that rises in the order of publishing. */
export interface Reading {
  readonly n: number
}

/** A private server for one test file, and all that its tests open; each test leaves no connection. */
export class Testbed {
  #open = new AsyncDisposableStack()
  #server: RedisServer | undefined
  #streams = 0

  get server(): RedisServer {
    if (this.#server === undefined) throw new Error('the server has not been started')
    return this.#server
  }

  get redis(): Redis {
    return this.server.client()
  }

  async start(options: StartRedisOptions): Promise<void> {
    this.#server = await startRedis(options)
  }

  /** Something to end after the test, before what was opened earlier. */
  onClose(closer: () => unknown): void {
    this.#open.defer(async () => {
      await closer()
    })
  }

  /** What one process has; reads block for half a second only, so that quiet streams are looked at soon. */
  async open(options: ConnectOptions = {}, url = this.server.url): Promise<Millrace> {
    const millrace = await connect(url, { blockMs: 500, ...options })
    this.onClose(() => millrace.close({ deadlineMs: 2_000 }))
    return millrace
  }

  async proxy(): Promise<FaultProxy> {
    const proxy = await startFaultProxy(this.server)
    this.onClose(() => proxy[Symbol.asyncDispose]())
    return proxy
  }

  /** A stream that no other test uses. */
  stream(options: StreamOptions<Reading> = {}): EventStream<Reading, Reading> {
    return defineStream<Reading>(`readings-${++this.#streams}`, options)
  }

  /** Gathers what a channel tells during the test. */
  gather<Message extends object>(fact: Fact<Message>): Message[] {
    const messages: Message[] = []
    this.onClose(fact.subscribe((message) => messages.push(message)))
    return messages
  }

  key(stream: { readonly name: string }): string {
    return `mr:{${stream.name}}${stream.name}`
  }

  /** Appends events with the bare command; `keyOf` gives each an ordering key. */
  async append(
    stream: { readonly name: string },
    count: number,
    options: { readonly first?: number; readonly keyOf?: (n: number) => string } = {},
  ): Promise<string[]> {
    const { first = 0, keyOf } = options
    const ids: string[] = []
    for (let done = 0; done < count; done += 1_000) {
      const pipeline = this.redis.pipeline()
      for (let n = first + done; n < first + Math.min(done + 1_000, count); n++) {
        const extras = keyOf === undefined ? [] : ['key', keyOf(n)]
        pipeline.xadd(this.key(stream), '*', 'data', JSON.stringify({ n }), ...extras)
      }
      for (const [error, id] of (await pipeline.exec()) ?? []) {
        if (error !== null) throw error
        ids.push(String(id))
      }
    }
    return ids
  }

  /** The truth about a consumer. */
  state(stream: { readonly name: string }, name: string): Promise<Record<string, string>> {
    return this.redis.hgetall(`${this.key(stream)}:state:${name}`)
  }

  /** What any Redis tool sees of a consumer: its row of XINFO GROUPS. */
  async image(
    stream: { readonly name: string },
    name: string,
  ): Promise<Record<string, unknown> | undefined> {
    const rows = (await this.redis.xinfo('GROUPS', this.key(stream))) as unknown[][]
    return rows.map(toRecord).find((row) => row['name'] === name)
  }

  /** The connections of this test in CLIENT LIST, by purpose. */
  async clients(purpose: string): Promise<string[]> {
    const list = String(await this.redis.client('LIST'))
    return list.split('\n').flatMap((line) => {
      const id = /^id=(\d+) .* name=millrace:(\w+) /.exec(line)
      return id?.[1] !== undefined && id[2] === purpose ? [id[1]] : []
    })
  }

  async closeAll(): Promise<void> {
    const open = this.#open
    this.#open = new AsyncDisposableStack()
    await open.disposeAsync()
    if (this.#server?.running === true) await expectNoLeaks(this.#server)
  }

  /** The server as every test wants it, also one that is tried again: it runs, and there is nothing in it. */
  async begin(): Promise<void> {
    if (!this.server.running) await this.server.restart()
    await this.redis.flushall()
  }

  async end(): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]()
  }
}

/** For the top of a test file. */
export function useRedis(options: StartRedisOptions = {}): Testbed {
  const bed = new Testbed()
  beforeAll(() => bed.start(options))
  beforeEach(() => bed.begin())
  afterEach(() => bed.closeAll())
  afterAll(() => bed.end())
  return bed
}

function toRecord(flat: readonly unknown[]): Record<string, unknown> {
  const record: Record<string, unknown> = {}
  for (let i = 0; i + 1 < flat.length; i += 2) record[String(flat[i])] = flat[i + 1]
  return record
}

/** The numbers from `first` on. */
export function range(count: number, first = 0): number[] {
  return Array.from({ length: count }, (_, i) => first + i)
}
