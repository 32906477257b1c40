import type { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import {
  connect,
  type ConnectOptions,
  defineStream,
  type EventStream,
  type Fact,
  type Millrace,
} from '@millrace/runtime'
import { expectNoLeaks, type RedisServer, startRedis } from '@millrace/testkit'

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

  async start(): Promise<void> {
    this.#server = await startRedis()
  }

  /** Something to end after the test, before what was opened earlier. */
  onClose(closer: () => unknown): void {
    this.#open.defer(async () => {
      await closer()
    })
  }

  /** What one process has. */
  async open(options: ConnectOptions = {}, url = this.server.url): Promise<Millrace> {
    const millrace = await connect(url, { blockMs: 500, ...options })
    this.onClose(() => millrace.close({ deadlineMs: 2_000 }))
    return millrace
  }

  /** A stream that no other test uses. */
  stream<Payload>(): EventStream<Payload, Payload> {
    return defineStream<Payload>(`changes-${++this.#streams}`)
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

  /** The stored events, as they are in Redis. */
  async stored<Payload>(stream: { readonly name: string }): Promise<StoredEvent<Payload>[]> {
    const entries = await this.redis.xrange(this.key(stream), '-', '+')
    return entries.map(([id, flat]) => {
      const fields: Record<string, string> = {}
      for (let i = 0; i + 1 < flat.length; i += 2) fields[flat[i] ?? ''] = flat[i + 1] ?? ''
      return { id, fields, data: JSON.parse(fields['data'] ?? 'null') as Payload }
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

export interface StoredEvent<Payload> {
  readonly id: string
  readonly fields: Readonly<Record<string, string>>
  readonly data: Payload
}

/** For the top of a test file. */
export function useRedis(): Testbed {
  const bed = new Testbed()
  beforeAll(() => bed.start())
  beforeEach(() => bed.begin())
  afterEach(() => bed.closeAll())
  afterAll(() => bed.end())
  return bed
}
