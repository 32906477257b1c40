import { Redis, type RedisOptions } from 'ioredis'
import { messageOf, MillraceError } from '../errors.ts'
import type { HostPort } from './options.ts'
import { fromRedis, troubleOf } from './redis-errors.ts'
import { StreamReads } from './stream-reads.ts'

/** What a connection is for; `docs/guarantees.md` has the formula of how many there are. */
export type Purpose = 'control' | 'data' | 'discovery' | 'durable' | 'group' | 'tail'

/**
 * One physical connection, from its opening to its end. It is never revived: whoever needs Redis
 * again opens another one, so whatever was learnt on this one (client id, loaded scripts, position
 * of outstanding replies) is void with it.
 */
export interface Session {
  readonly purpose: Purpose
  readonly client: Redis
  /** For connections that read streams and do nothing else meanwhile. */
  readonly reads: StreamReads
  /** The connection's id in Redis, for CLIENT UNBLOCK and CLIENT KILL. */
  readonly clientId: number
  readonly server: ServerIdentity
  /** Where the connection leads, as the socket has it. */
  readonly peer: HostPort
  /** Fires when the connection has ended, whoever ended it. */
  readonly signal: AbortSignal
  /** Ends the connection; outstanding calls are rejected. */
  end(reason: string): void
}

interface ServerIdentity {
  readonly product: 'redis' | 'valkey'
  readonly version: string
}

/** How long a reply may take before the connection counts as half open, in milliseconds. */
const REPLY_TIMEOUT_MS = 5_000

/** How long one sentinel may take to say where the master is, in milliseconds. */
const SENTINEL_TIMEOUT_MS = 1_000

export interface SessionOptions {
  readonly purpose: Purpose
  readonly node: RedisOptions
  readonly clientName: string
  readonly connectTimeoutMs: number
  /** For blocking connections: how long one read may block. */
  readonly blockMs?: number
  /** For the others: how long a reply may take. @defaultValue 5_000 */
  readonly replyTimeoutMs?: number
}

/**
 * Opens a connection and makes sure that the server is one that Millrace can work with.
 * @throws MillraceError `UNAVAILABLE`, `AUTH_FAILED`, `PERMISSION_DENIED` or `SERVER_UNSUPPORTED`
 */
export async function openSession(options: SessionOptions): Promise<Session> {
  const ended = new AbortController()
  const socketTimeout =
    options.blockMs === undefined
      ? (options.replyTimeoutMs ?? REPLY_TIMEOUT_MS)
      : options.blockMs + 1_500
  const client = new Redis({
    ...options.node,
    // The shapes of RESP2 on either protocol.
    replyMapping: 'legacy',
    lazyConnect: true,
    connectionName: `${options.clientName}:${options.purpose}`,
    connectTimeout: options.connectTimeoutMs,
    // A half-open socket is only ever noticed by this timer, which runs while a reply is awaited.
    socketTimeout,
    // The client would send in-flight commands again after a reconnect, and so write twice.
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    // Reconnecting is ours: a new connection is a new session.
    retryStrategy: () => null,
    // Looking at INFO first would cost a round trip and a right; LOADING is an answer like others.
    enableReadyCheck: false,
    sentinelRetryStrategy: () => null,
    // One that stands still must not keep us from asking the others.
    sentinelCommandTimeout: SENTINEL_TIMEOUT_MS,
    keepAlive: 10_000,
    noDelay: true,
    disableClientInfo: true,
  })
  let lastError: unknown
  client.on('error', (error: unknown) => {
    lastError = error
  })
  client.on('end', () => {
    ended.abort(lastError ?? new Error('the connection was closed'))
  })
  try {
    await client.connect()
    const { clientId, server, role } = await identify(client)
    if (options.node.role === 'master' && role !== 'master') {
      throw new MillraceError('UNAVAILABLE', `The sentinel named a server that is a ${role} by now`)
    }
    return {
      purpose: options.purpose,
      client,
      reads: new StreamReads(client, ended.signal, socketTimeout),
      clientId,
      server,
      peer: { host: client.stream.remoteAddress ?? '', port: client.stream.remotePort ?? 0 },
      signal: ended.signal,
      end(reason) {
        if (ended.signal.aborted) return
        lastError ??= new Error(reason)
        // Over a dead socket the client would take seconds to say so.
        ended.abort(lastError)
        disconnect(client)
      },
    }
  } catch (error) {
    disconnect(client)
    // ioredis reports "Connection is closed." from connect(); the reason came as an event before it.
    throw openingError(troubleOf(error) === 'disconnected' ? (lastError ?? error) : error)
  }
}

/** For a socket that has closed already, ioredis would start a timer that keeps the process for 2 s. */
function disconnect(client: Redis): void {
  if (client.status !== 'close' && client.status !== 'end') client.disconnect()
}

function openingError(error: unknown): MillraceError {
  const known = fromRedis(error)
  if (known.code !== 'INTERNAL') return known
  return new MillraceError('UNAVAILABLE', `Redis could not be reached: ${messageOf(error)}`, {
    cause: error,
  })
}

/** Servers before 6.2 do not know HELLO without a version of the protocol; they are too old anyway. */
async function hello(client: Redis): Promise<unknown> {
  try {
    return await client.call('hello')
  } catch (error) {
    const trouble = troubleOf(error)
    if (trouble !== 'other' && trouble !== 'unsupported') throw error
    const version = /redis_version:(\S+)/.exec(await client.info('server'))?.[1] ?? 'of before 6.2'
    throw new MillraceError(
      'SERVER_UNSUPPORTED',
      `Millrace needs Redis 7.0 or Valkey 8 or newer, with HELLO; this is redis ${version}`,
      { cause: error },
    )
  }
}

/** HELLO names product and true version on every server (INFO says 7.2.4 on each Valkey). */
async function identify(client: Redis): Promise<Identity> {
  const reply = await hello(client)
  const fields = new Map<string, unknown>()
  if (Array.isArray(reply)) {
    for (let i = 0; i + 1 < reply.length; i += 2) fields.set(String(reply[i]), reply[i + 1])
  } else if (reply instanceof Map) {
    for (const [name, value] of reply) fields.set(String(name), value)
  } else if (typeof reply === 'object' && reply !== null) {
    for (const [name, value] of Object.entries(reply)) fields.set(name, value)
  }
  const product = fields.get('server') === 'valkey' ? 'valkey' : 'redis'
  const given = fields.get('version')
  const version = typeof given === 'string' ? given : '0'
  const major = Number.parseInt(version, 10)
  if (major < (product === 'valkey' ? 8 : 7)) {
    throw new MillraceError(
      'SERVER_UNSUPPORTED',
      `Millrace needs Redis 7.0 or Valkey 8 or newer; this is ${product} ${version}`,
    )
  }
  return {
    clientId: Number(fields.get('id')),
    server: { product, version },
    role: String(fields.get('role')),
  }
}

interface Identity {
  readonly clientId: number
  readonly server: ServerIdentity
  readonly role: string
}
