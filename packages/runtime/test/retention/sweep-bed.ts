import type { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach } from 'vitest'
import { type RedisServer, startRedis, type StartRedisOptions } from '@millrace/testkit'
import { resolveConnectOptions } from '../../src/connection/options.ts'
import { type Core, createCore } from '../../src/core.ts'
import { sweep, type SweepAnswer, type SweepRequest } from '../../src/retention/sweep.ts'
import { defineStream, type RetentionOptions } from '../../src/stream/define-stream.ts'
import type { StreamKeys } from '../../src/stream/keys.ts'

/** The incarnation of every stream that a test makes by hand. */
export const INCARNATION = 'incarnation1'

type Swept = Extract<SweepAnswer, { outcome: 'swept' }>

/** One server and one stream, made by hand, on which the sweep script is called. */
export class SweepBed {
  #server: RedisServer | undefined
  #core: Core | undefined

  async start(options: StartRedisOptions): Promise<void> {
    this.#server = await startRedis(options)
    this.#core = createCore(resolveConnectOptions(this.#server.url, {}))
  }

  async end(): Promise<void> {
    this.#core?.connections.close()
    await this.#server?.[Symbol.asyncDispose]()
  }

  get redis(): Redis {
    if (this.#server === undefined) throw new Error('the server has not been started')
    return this.#server.client()
  }

  get core(): Core {
    if (this.#core === undefined) throw new Error('the server has not been started')
    return this.#core
  }

  get keys(): StreamKeys {
    return this.core.keysOf(defineStream('swept'))
  }

  async reset(): Promise<void> {
    await this.redis.flushall()
    await this.redis.hset(this.keys.meta, {
      incarnation: INCARNATION,
      format: 1,
      partitions: 1,
      tag: 'swept',
    })
  }

  /** The server's time in milliseconds. */
  async nowMs(): Promise<number> {
    const [seconds, micros] = await this.redis.time()
    return Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000)
  }

  async add(ids: readonly string[]): Promise<void> {
    const pipeline = this.redis.pipeline()
    for (const id of ids) pipeline.xadd(this.keys.stream, id, 'data', `"${id}"`)
    for (const [error] of (await pipeline.exec()) ?? []) if (error !== null) throw error
  }

  async ids(): Promise<string[]> {
    return (await this.redis.xrange(this.keys.stream, '-', '+')).map(([id]) => id)
  }

  /** A consumer as its scripts leave it. */
  async consumer(
    name: string,
    position: string,
    fields: Record<string, string> = {},
  ): Promise<void> {
    const { stream, meta } = this.keys
    await this.redis.xgroup('CREATE', stream, name, position, 'MKSTREAM').catch(() => undefined)
    await this.redis.hset(meta, `name:${name}`, 'consumer')
    await this.redis.hset(this.keys.state(name), {
      kind: 'consumer',
      incarnation: INCARNATION,
      position,
      ...fields,
    })
  }

  /** A consumer group of ours, without members. */
  async group(name: string, start: string): Promise<void> {
    const { stream, meta } = this.keys
    await this.redis.xgroup('CREATE', stream, name, start, 'MKSTREAM')
    await this.redis.hset(meta, `name:${name}`, 'group')
    await this.redis.hset(this.keys.state(name), {
      kind: 'group',
      incarnation: INCARNATION,
      position: start,
    })
  }

  async read(group: string, count: number): Promise<string[]> {
    const { stream } = this.keys
    const reply = (await this.redis.xreadgroup(
      'GROUP',
      group,
      'member',
      'COUNT',
      count,
      'STREAMS',
      stream,
      '>',
    )) as [string, [string, string[]][]][] | null
    return (reply?.[0]?.[1] ?? []).map(([id]) => id)
  }

  /** A whole sweep, whatever is due; answers its parts. */
  async sweep(
    retention: RetentionOptions,
    options: Partial<SweepRequest> = {},
  ): Promise<{ parts: Swept[]; removed: number; pastFloor: number; expired: Map<string, number> }> {
    const parts: Swept[] = []
    const expired = new Map<string, number>()
    do {
      const answer = await this.part(retention, { continues: true, ...options })
      if (answer.outcome !== 'swept') throw new Error(`the sweep answered ${answer.outcome}`)
      parts.push(answer)
      for (const [name, count] of answer.expired)
        expired.set(name, (expired.get(name) ?? 0) + count)
    } while (parts.at(-1)?.more === true && parts.length < 10_000)
    return {
      parts,
      removed: parts.reduce((sum, part) => sum + part.removed, 0),
      pastFloor: parts.reduce((sum, part) => sum + part.pastFloor, 0),
      expired,
    }
  }

  async part(
    retention: RetentionOptions,
    options: Partial<SweepRequest> = {},
  ): Promise<SweepAnswer> {
    const session = await this.core.connections.session('data', this.keys.tag)
    return await sweep(session, this.keys, {
      retention: defineStream('swept', { retention }).retention,
      decides: true,
      periodMs: 10_000,
      continues: false,
      ...options,
    })
  }

  async meta(field: string): Promise<string | null> {
    return await this.redis.hget(this.keys.meta, field)
  }

  async state(name: string): Promise<Record<string, string>> {
    return await this.redis.hgetall(this.keys.state(name))
  }
}

/** For the top of a test file. */
export function useSweeps(args: readonly string[] = []): SweepBed {
  const bed = new SweepBed()
  beforeAll(() => bed.start({ args }))
  beforeEach(() => bed.reset())
  afterAll(() => bed.end())
  return bed
}

/** Ids `<first>-0` to `<last>-0`. */
export function idsFrom(first: number, last: number): string[] {
  return Array.from({ length: last - first + 1 }, (_, i) => `${first + i}-0`)
}
