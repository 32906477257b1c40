import type { Redis } from 'ioredis'
import { afterAll, afterEach, beforeEach, beforeAll } from 'vitest'
import { type RedisServer, startRedis } from '@millrace/testkit'
import { channels, type PressureChanged } from '../../src/diagnostics.ts'
import { isMillraceError } from '../../src/errors.ts'
import type { ProducerOptions, PublishResult } from '../../src/producer/options.ts'
import { Producer } from '../../src/producer/producer.ts'
import { defineStream, type EventStream } from '../../src/stream/define-stream.ts'
import { openRig } from '../producer/rig.ts'
import { type SpoolDirectory, spoolDirectory } from '../producer/spool/spool-rig.ts'

/** Pressure begins soon, and ends soon. */
export const LAG = { lagEvents: { low: 100, high: 1_000, critical: 3_000 } } as const

export type AnyProducer = Producer<{ n: number }, PublishResult>

/** One server, one stream with one consumer that stands still unless it is told to go on. */
export class PressureBed {
  readonly stream: EventStream<{ n: number }, { n: number }> = defineStream('pressed')
  readonly key = 'mr:{pressed}pressed'
  readonly changes: PressureChanged[] = []
  readonly #closers: (() => unknown)[] = []
  #server: RedisServer | undefined

  async start(): Promise<void> {
    this.#server = await startRedis()
  }

  async end(): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]()
  }

  get redis(): Redis {
    return this.server.client()
  }

  get server(): RedisServer {
    if (this.#server === undefined) throw new Error('the server has not been started')
    return this.#server
  }

  async reset(): Promise<void> {
    await this.redis.config('SET', 'maxmemory', '0')
    await this.redis.flushall()
    await this.redis.config('RESETSTAT')
    this.#infos = 0
    this.changes.length = 0
    this.#closers.push(channels.pressureChanged.subscribe((change) => this.changes.push(change)))
  }

  async closeAll(): Promise<void> {
    for (const close of this.#closers.splice(0).toReversed()) await close()
  }

  producer(options: ProducerOptions, url: string = this.server.url): AnyProducer {
    const rig = openRig(url)
    const producer = new Producer<{ n: number }, PublishResult>(rig.core, this.stream, options)
    this.#closers.push(async () => {
      await producer.close({ deadlineMs: 100 })
      rig[Symbol.dispose]()
    })
    return producer
  }

  spoolDirectory(): SpoolDirectory {
    const directory = spoolDirectory()
    this.#closers.unshift(() => {
      directory[Symbol.dispose]()
    })
    return directory
  }

  /** A consumer that has processed so many events of the stream, all of them if nothing else is said. */
  async consumed(events?: number): Promise<void> {
    const { redis, key } = this
    const incarnation = (await redis.hget(`${key}:meta`, 'incarnation')) ?? ''
    const count = events ?? (await redis.xlen(key))
    const [entry] =
      count === 0 ? [] : await redis.xrange(key, '-', '+', 'COUNT', count).then(lastOf)
    await redis.hset(`${key}:meta`, 'name:board', 'consumer')
    await redis.hset(`${key}:state:board`, {
      kind: 'consumer',
      incarnation,
      position: entry ?? '0-0',
      index: String(count),
    })
  }

  /** How often the server was asked for figures. */
  async asked(): Promise<number> {
    const text = await this.redis.info('commandstats')
    return Number(/cmdstat_info:calls=(\d+)/.exec(text)?.[1] ?? 0) - this.#infos++
  }
  #infos = 0

  async length(): Promise<number> {
    return await this.redis.xlen(this.key)
  }
}

function lastOf(entries: readonly [string, string[]][]): [string] | [] {
  const last = entries.at(-1)
  return last === undefined ? [] : [last[0]]
}

/** For the top of a test file. */
export function usePressure(): PressureBed {
  const bed = new PressureBed()
  beforeAll(() => bed.start())
  beforeEach(() => bed.reset())
  afterEach(() => bed.closeAll())
  afterAll(() => bed.end())
  return bed
}

/** What became of each: where it is stored, or the code of its error. */
export async function outcomesOf(calls: readonly Promise<unknown>[]): Promise<string[]> {
  return (await Promise.allSettled(calls)).map((outcome) => {
    if (outcome.status === 'fulfilled') return String(Reflect.get(Object(outcome.value), 'stored'))
    return isMillraceError(outcome.reason) ? outcome.reason.code : String(outcome.reason)
  })
}

export function numbersFrom(first: number, count: number): { n: number }[] {
  return Array.from({ length: count }, (_, i) => ({ n: first + i }))
}
