import { Redis } from 'ioredis'
import { startRedisContainer } from '../docker/redis-container.ts'
import { startRedis } from '../server/redis-server.ts'
import type { ServerBinary } from '../server/server-binary.ts'
import { type EnsureRedisOptions, ensureRedis } from './ensure.ts'

/** What {@link provideRedis} goes by; `signal` ends the provisioning, not the server that came of it. */
export type ProvideRedisOptions = EnsureRedisOptions

/** A server for a demo or a benchmark. Disposal stops it, unless it was given. */
export interface ProvidedRedis extends AsyncDisposable {
  readonly url: string
  readonly source: 'given' | 'binary' | 'container'
  /** What the server says of itself, such as `Redis 7.0.15`. */
  readonly version: string
  /** The server's process, where it is one of ours. */
  readonly pid?: number
}

const CONNECT_TIMEOUT_MS = 10_000

/**
 * Provides a server: the given one, else a private one from PATH on a free port of 127.0.0.1, else a
 * container, else after installing the system's package. A private one keeps its data in a temporary
 * folder, and both go when it is disposed of or this process ends in whatever way.
 */
export async function provideRedis(options: ProvideRedisOptions = {}): Promise<ProvidedRedis> {
  const available = await ensureRedis(options)
  options.signal?.throwIfAborted()
  switch (available.source) {
    case 'given':
      return {
        url: available.url,
        source: 'given',
        version: await serverVersion(available.url),
        [Symbol.asyncDispose]: () => Promise.resolve(),
      }
    case 'binary':
      return privateServer(available.binary)
    case 'container':
      options.log?.('no redis-server on PATH: starting one in a container')
      return container()
  }
}

async function privateServer(binary: ServerBinary): Promise<ProvidedRedis> {
  const server = await startRedis({ binary })
  return {
    url: server.url,
    source: 'binary',
    version: await serverVersion(server.url),
    pid: server.pid,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

async function container(): Promise<ProvidedRedis> {
  const server = await startRedisContainer()
  return {
    url: server.url,
    source: 'container',
    version: await serverVersion(server.url),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

/** Connects once, so that a wrong address fails here, with its reason, and not in the middle of the work. */
async function serverVersion(url: string): Promise<string> {
  const redis = new Redis(url, {
    lazyConnect: true,
    connectTimeout: CONNECT_TIMEOUT_MS,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
  })
  // A failed connection rejects with "Connection is closed" only; the event before it says why.
  const reasons: Error[] = []
  redis.on('error', (error: Error) => reasons.push(error))
  try {
    await redis.connect()
    return versionIn(await redis.info('server'))
  } catch (error) {
    const told = reasons[0] ?? (error instanceof Error ? error : new Error(String(error)))
    const message = `the Redis at ${withoutPassword(url)} does not answer: ${told.message || told.name}`
    throw new Error(message, { cause: error })
  } finally {
    redis.disconnect()
  }
}

function versionIn(info: string): string {
  // Valkey also reports the Redis version that it stands in for; its own comes first.
  const valkey = /^valkey_version:(\S+)/m.exec(info)?.[1]
  return valkey
    ? `Valkey ${valkey}`
    : `Redis ${/^redis_version:(\S+)/m.exec(info)?.[1] ?? 'of unknown version'}`
}

function withoutPassword(url: string): string {
  const parsed = URL.parse(url)
  if (!parsed) return 'the given address'
  parsed.password &&= '***'
  return parsed.href
}
