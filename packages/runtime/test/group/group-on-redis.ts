import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach } from 'vitest'
import { type RedisServer, startRedis } from '@millrace/testkit'
import type { Redis } from 'ioredis'
import { resolveConnectOptions } from '../../src/connection/options.ts'
import { type Core, createCore } from '../../src/core.ts'
import type { MemberProcessOptions } from './member-process.ts'
import { ConsumerGroup } from '../../src/group/group.ts'
import type { GroupOptions } from '../../src/group/options.ts'
import { defineStream, type EventStream } from '../../src/stream/define-stream.ts'

/** A member in a process of its own. */
export interface MemberProcess {
  readonly child: ChildProcess
  /** What it has printed: `ready`, `start <id> <attempt>`, `done <id> <attempt>`. */
  readonly lines: readonly string[]
  /** The ids of the lines that begin so. */
  ids(word: 'done' | 'start'): string[]
  kill(signal: NodeJS.Signals): void
  readonly exited: Promise<unknown>
}

export interface Order {
  readonly n: number
}

/** A private server, cores and groups for one test file, all ended after each test or at the end. */
export class GroupTestbed implements AsyncDisposable {
  readonly server: RedisServer
  readonly client: Redis
  #open = new AsyncDisposableStack()
  #streams = 0

  constructor(server: RedisServer) {
    this.server = server
    this.client = server.client()
    beforeEach(() => this.begin())
    afterEach(() => this.closeAll())
  }

  static async start(args: readonly string[] = []): Promise<GroupTestbed> {
    return new GroupTestbed(await startRedis({ args }))
  }

  /** The server as every test wants it, also one that is tried again: it runs, and there is nothing in it. */
  async begin(): Promise<void> {
    if (!this.server.running) await this.server.restart()
    await this.client.flushall()
  }

  /** What one process has; a short BLOCK, so that nothing waits long for a quiet stream. */
  core(
    options: {
      url?: string
      sameHostTakeover?: boolean
      blockMs?: number
      deadlineMs?: number
    } = {},
  ): Core {
    const {
      url = this.server.url,
      sameHostTakeover = true,
      blockMs = 500,
      deadlineMs = 10_000,
    } = options
    const core = createCore(resolveConnectOptions(url, { sameHostTakeover, blockMs, deadlineMs }))
    this.onClose(() => {
      core.connections.close()
    })
    return core
  }

  /** A stream that no other test uses. */
  stream(): EventStream<Order, Order> {
    return defineStream<Order>(`orders-${++this.#streams}`)
  }

  group<Data>(
    core: Core,
    stream: EventStream<never, Data>,
    options: GroupOptions,
  ): ConsumerGroup<Data> {
    const group = new ConsumerGroup(core, stream, options)
    this.onClose(() => group.close({ deadlineMs: 1_000 }))
    return group
  }

  spawnMember(options: Omit<MemberProcessOptions, 'url'>): MemberProcess {
    const argument: MemberProcessOptions = { url: this.server.url, ...options }
    const child = spawn(
      process.execPath,
      [
        '--conditions=millrace-source',
        fileURLToPath(new URL('member-process.ts', import.meta.url)),
        JSON.stringify(argument),
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    const lines: string[] = []
    createInterface({ input: child.stdout }).on('line', (line) => lines.push(line))
    const exited = once(child, 'exit')
    this.onClose(async () => {
      child.kill('SIGKILL')
      await exited
    })
    return {
      child,
      lines,
      ids: (word) =>
        lines.flatMap((line) => (line.startsWith(`${word} `) ? [line.split(' ')[1] ?? ''] : [])),
      kill: (signal) => child.kill(signal),
      exited,
    }
  }

  /** Appends events with n from `first` on, with the bare command. */
  async append(stream: EventStream<never, unknown>, count: number, first = 1): Promise<string[]> {
    const ids: string[] = []
    for (let done = 0; done < count; done += 500) {
      const pipeline = this.client.pipeline()
      for (let i = done; i < Math.min(done + 500, count); i++) {
        pipeline.xadd(
          `mr:{${stream.name}}${stream.name}`,
          '*',
          'data',
          JSON.stringify({ n: first + i }),
        )
      }
      for (const [error, id] of (await pipeline.exec()) ?? []) {
        if (error !== null) throw error
        ids.push(String(id))
      }
    }
    return ids
  }

  key(stream: EventStream<never, unknown>): string {
    return `mr:{${stream.name}}${stream.name}`
  }

  async pending(stream: EventStream<never, unknown>, group: string): Promise<number> {
    const reply = (await this.client.xpending(this.key(stream), group)) as [number]
    return reply[0]
  }

  async consumers(stream: EventStream<never, unknown>, group: string): Promise<string[]> {
    const reply = (await this.client.xinfo('CONSUMERS', this.key(stream), group)) as unknown[][]
    return reply.map((flat) => String(flat[1]))
  }

  /** The records of members in the state, by name. */
  async records(
    stream: EventStream<never, unknown>,
    group: string,
  ): Promise<Record<string, string>> {
    const state = await this.client.hgetall(`${this.key(stream)}:state:${group}`)
    return Object.fromEntries(
      Object.entries(state).flatMap(([field, value]) =>
        field.startsWith('member:') ? [[field.slice('member:'.length), value]] : [],
      ),
    )
  }

  /** Something to end after the test, before the server. */
  onClose(closer: () => Promise<unknown> | void): void {
    this.#open.defer(async () => {
      await closer()
    })
  }

  async closeAll(): Promise<void> {
    const open = this.#open
    this.#open = new AsyncDisposableStack()
    await open.disposeAsync()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.closeAll()
    await this.server[Symbol.asyncDispose]()
  }
}
