import { Redis } from 'ioredis'
import type { Cast } from '../cast.ts'
import { nowMs } from '../clock.ts'
import type { Usage } from '../processes/messages.ts'

/** What every process has used up to a moment. */
export interface Reading {
  readonly atMs: number
  /** By the name of the process; `redis` is the server. */
  readonly processes: ReadonlyMap<string, Usage>
}

/** What was used between two readings. */
export interface Stretch {
  readonly fromMs: number
  readonly toMs: number
  /** By the name of the process. */
  readonly cpuS: ReadonlyMap<string, number>
  readonly requests: ReadonlyMap<string, number>
  /** At the end of the stretch, by the name of the process. */
  readonly memoryBytes: ReadonlyMap<string, number>
}

/** Asks all processes, and Redis, what they have used. */
export class Resources implements Disposable {
  readonly #cast: Cast
  readonly #redis: Redis

  constructor(cast: Cast, redisUrl: string) {
    this.#cast = cast
    this.#redis = new Redis(redisUrl, { lazyConnect: true, maxRetriesPerRequest: 1 })
    // A failure reaches the caller through the command that met it.
    this.#redis.on('error', () => undefined)
  }

  async read(): Promise<Reading> {
    const running = this.#cast.processes.filter((one) => one.running)
    const [redis, ...usages] = await Promise.all([
      this.#usageOfRedis(),
      ...running.map(async (one) => [one.name, await one.usage()] as const),
    ])
    return { atMs: nowMs(), processes: new Map([['redis', redis], ...usages]) }
  }

  [Symbol.dispose](): void {
    this.#redis.disconnect()
  }

  async #usageOfRedis(): Promise<Usage> {
    const info = `${await this.#redis.info('cpu')}${await this.#redis.info('memory')}`
    const figure = (name: string): number =>
      Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(info)?.[1] ?? 0)
    const cpuS = figure('used_cpu_user') + figure('used_cpu_sys')
    return { cpuMs: cpuS * 1_000, memoryBytes: figure('used_memory_rss'), requests: 0 }
  }
}

/** What was used from one reading to a later one, by those who were there at its end. */
export function stretchBetween(from: Reading, to: Reading): Stretch {
  const cpuS = new Map<string, number>()
  const requests = new Map<string, number>()
  const memoryBytes = new Map<string, number>()
  for (const [name, usage] of to.processes) {
    const before = from.processes.get(name)
    cpuS.set(name, (usage.cpuMs - (before?.cpuMs ?? 0)) / 1_000)
    requests.set(name, usage.requests - (before?.requests ?? 0))
    memoryBytes.set(name, usage.memoryBytes)
  }
  return { fromMs: from.atMs, toMs: to.atMs, cpuS, requests, memoryBytes }
}

/** All of them together. */
export function total(figures: ReadonlyMap<string, number>): number {
  return figures.values().reduce((sum, figure) => sum + figure, 0)
}
