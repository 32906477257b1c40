import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { SQSClient } from '@aws-sdk/client-sqs'
import { connect, defineStream, type EventStream, type Millrace } from '@millrace/runtime'
import { expectNoLeaks, type RedisServer, startRedis } from '@millrace/testkit'
import { Consumer, type ConsumerOptions } from 'sqs-consumer'
import { afterAll, afterEach, beforeAll } from 'vitest'
import type { QueueOptions } from '../../src/queue/options.ts'
import { createSqsClient, type SqsClient } from '../../src/queue/sqs-client.ts'
import type { QueueProcessOptions } from './programs/queue-process.ts'

export const QUEUE_URL = 'https://sqs.eu-west-1.amazonaws.com/123456789012/orders'
export const GROUP = 'billing'

export interface Order {
  readonly n: number
}

/** A consumer process: what it has said so far, and ways to end it. */
export interface QueueProcess {
  readonly child: ChildProcess
  /** `received <n> <count>`, `handled <n> <count>`, `deleted <n> <count>`, `refused <why>`. */
  readonly lines: readonly string[]
  readonly exited: Promise<unknown>
}

/** A private server for one test file, and what its tests open. */
export class QueueBed {
  #open = new AsyncDisposableStack()
  #server: RedisServer | undefined
  #streams = 0

  get server(): RedisServer {
    if (this.#server === undefined) throw new Error('the server has not been started')
    return this.#server
  }

  async start(): Promise<void> {
    this.#server = await startRedis()
  }

  stream(): EventStream<Order, Order> {
    return defineStream<Order>(`orders-${++this.#streams}`)
  }

  async millrace(): Promise<Millrace> {
    const millrace = await connect(this.server.url, { blockMs: 500 })
    this.onClose(() => millrace.close({ deadlineMs: 1_000 }))
    return millrace
  }

  /** A client with a connection of its own, as one process has it. */
  async client(
    stream: EventStream<Order, Order>,
    options: Partial<QueueOptions> = {},
  ): Promise<SQSClient & SqsClient> {
    const client = createSqsClient<SQSClient>({
      millrace: await this.millrace(),
      queues: { [QUEUE_URL]: { stream, group: GROUP, leaseMs: 1_000, ...options } },
    })
    this.onClose(() => client.close({ deadlineMs: 0 }))
    return client
  }

  /** A consumer that runs until the test ends. */
  consumer(sqs: SQSClient, options: Partial<ConsumerOptions>): Consumer {
    const consumer = Consumer.create({
      queueUrl: QUEUE_URL,
      sqs,
      waitTimeSeconds: 1,
      messageSystemAttributeNames: ['All'],
      ...options,
    })
    // Without a listener an error would be thrown; tests that expect errors look for themselves.
    for (const event of ['error', 'processing_error', 'timeout_error'] as const) {
      consumer.on(event, () => undefined)
    }
    this.onClose(() => {
      consumer.stop({ abort: true })
    })
    consumer.start()
    return consumer
  }

  spawn(options: Omit<QueueProcessOptions, 'url'>): QueueProcess {
    const argument: QueueProcessOptions = { url: this.server.url, ...options }
    const child = spawn(
      process.execPath,
      [
        '--conditions=millrace-source',
        fileURLToPath(new URL('programs/queue-process.ts', import.meta.url)),
        JSON.stringify(argument),
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    const lines: string[] = []
    createInterface({ input: child.stdout }).on('line', (line) => lines.push(line))
    const exited = once(child, 'exit')
    this.onClose(async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
      await exited
    })
    return { child, lines, exited }
  }

  async pending(stream: { readonly name: string }): Promise<number> {
    const key = `mr:{${stream.name}}${stream.name}`
    const reply = (await this.server.client().xpending(key, GROUP)) as [number]
    return reply[0]
  }

  onClose(closer: () => unknown): void {
    this.#open.defer(async () => {
      await closer()
    })
  }

  async closeAll(): Promise<void> {
    const open = this.#open
    this.#open = new AsyncDisposableStack()
    await open.disposeAsync()
    await expectNoLeaks(this.server)
  }

  async end(): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]()
  }
}

/** For the top of a test file. */
export function useQueues(): QueueBed {
  const bed = new QueueBed()
  beforeAll(() => bed.start())
  afterEach(() => bed.closeAll())
  afterAll(() => bed.end())
  return bed
}

export function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i)
}

/** The number in a message's body. */
export function numberIn(message: { readonly Body?: string | undefined }): number {
  return (JSON.parse(message.Body ?? '{}') as Order).n
}
