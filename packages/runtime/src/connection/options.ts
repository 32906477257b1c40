import type { ConnectionOptions as TlsOptions } from 'node:tls'
import type { RedisOptions } from 'ioredis'
import { type BlobStore, isBlobStore } from '../blob/blob-store.ts'
import { MillraceError } from '../errors.ts'
import { type Instrumentation, isInstrumentation } from '../instrumentation/instrumentation.ts'
import {
  abortSignal,
  boolean,
  optionProblems,
  throwProblems,
  wholeNumber,
} from '../lifecycle/options.ts'

/** Where Redis is: one server, the sentinels that know the master, or some nodes of a cluster. */
export type RedisAddress =
  /** `redis://user:password@host:port/db`, or `rediss://…` for TLS. */
  | string
  | {
      /** URLs of the sentinels; each may carry the sentinel's own user and password. */
      readonly sentinels: readonly string[]
      /** The name under which the sentinels watch the master. */
      readonly name: string
      readonly username?: string
      readonly password?: string
    }
  | {
      /** URLs of some nodes of the cluster; the first one's user and password are used for all. */
      readonly cluster: readonly string[]
    }

export interface ConnectOptions {
  /**
   * Stands before every key. Streams of another prefix are another world.
   * @defaultValue `mr:`
   */
  readonly prefix?: string
  /** Closes everything when it fires, like `close()`. */
  readonly signal?: AbortSignal
  /** TLS settings, for a private authority or client certificates. Turns TLS on. @defaultValue from the URL */
  readonly tls?: TlsOptions
  /**
   * How long a call waits for Redis while it is away, in milliseconds, before it fails with
   * `UNAVAILABLE`. Too low: a failover becomes errors. Too high: callers hang.
   * @defaultValue 10_000
   */
  readonly deadlineMs?: number
  /** How long opening one connection may take, in milliseconds. @defaultValue 5_000 */
  readonly connectTimeoutMs?: number
  /**
   * How long one blocking read waits in Redis, in milliseconds. Also bounds how long a half-open
   * connection goes unnoticed (this plus 1,500 ms).
   * @defaultValue 2_000
   */
  readonly blockMs?: number
  /**
   * In a cluster: how many tails (one connection and one blocking read each) this process may have.
   * Streams in one slot share a tail.
   * @defaultValue 8
   */
  readonly maxTails?: number
  /**
   * How many bytes of events all readers and consumers of this process may have asked for and not
   * yet handled while they catch up.
   * @defaultValue 8_388_608 (8 MiB)
   */
  readonly readAheadBytes?: number
  /**
   * Whether a lease whose holder is provably gone from this same host is taken over at once instead
   * of after a whole lease. Turn it off where process ids cannot be trusted.
   * @defaultValue true
   */
  readonly sameHostTakeover?: boolean
  /**
   * How often each event stream is swept by one of the processes that publish to it or consume it, in
   * milliseconds. Sweeping removes what retention lets go and lets publishing trim. Too low: the server
   * works without need. Too high: streams pass their limits for longer.
   * @defaultValue 10_000
   */
  readonly sweepEveryMs?: number
  /**
   * Where large payloads lie, for streams with `claimCheck`. Producers and consumers need the same.
   * @defaultValue none
   */
  readonly blobStore?: BlobStore
  /**
   * How many bytes of payloads from the blob store this process may have in memory, from the fetch until
   * their handlers have settled. Whoever handles none may always fetch one, however large.
   * @defaultValue 134_217_728 (128 MiB)
   */
  readonly blobBytes?: number
  /** The name that connections carry in `CLIENT LIST`. @defaultValue `millrace` */
  readonly clientName?: string
  /** Stands around publishing and handling; `tracing()` of `@millrace/metrics` makes one. @defaultValue none */
  readonly instrumentation?: Instrumentation
}

export interface ResolvedConnectOptions {
  readonly address: ResolvedAddress
  readonly prefix: string
  readonly signal: AbortSignal | undefined
  readonly deadlineMs: number
  readonly connectTimeoutMs: number
  readonly blockMs: number
  readonly maxTails: number
  readonly readAheadBytes: number
  readonly sameHostTakeover: boolean
  readonly sweepEveryMs: number
  readonly blobStore: BlobStore | undefined
  readonly blobBytes: number
  readonly clientName: string
  readonly instrumentation: Instrumentation | undefined
}

type ResolvedAddress =
  | { readonly kind: 'standalone'; readonly node: RedisOptions }
  | { readonly kind: 'sentinel'; readonly node: RedisOptions }
  | { readonly kind: 'cluster'; readonly seeds: readonly HostPort[]; readonly node: RedisOptions }

export interface HostPort {
  readonly host: string
  readonly port: number
}

const defaults = Object.freeze({
  prefix: 'mr:',
  deadlineMs: 10_000,
  connectTimeoutMs: 5_000,
  blockMs: 2_000,
  maxTails: 8,
  readAheadBytes: 8 * 1024 * 1024,
  sameHostTakeover: true,
  sweepEveryMs: 10_000,
  blobBytes: 128 * 1024 * 1024,
  clientName: 'millrace',
})

/** @throws MillraceError `OPTIONS_INVALID`, listing all problems */
export function resolveConnectOptions(
  address: RedisAddress,
  options: ConnectOptions,
): ResolvedConnectOptions {
  const problems = optionProblems(options, {
    prefix: (v) =>
      (typeof v === 'string' && /^[A-Za-z0-9._:-]{0,64}$/.test(v)) ||
      'must be at most 64 characters out of A–Z a–z 0–9 . _ : -',
    signal: abortSignal,
    tls: (v) => (typeof v === 'object' && v !== null) || 'must be an object of TLS options',
    deadlineMs: wholeNumber(1, 3_600_000, 'milliseconds'),
    connectTimeoutMs: wholeNumber(1, 600_000, 'milliseconds'),
    blockMs: wholeNumber(100, 60_000, 'milliseconds'),
    maxTails: wholeNumber(1, 16_384),
    readAheadBytes: wholeNumber(65_536, 4_294_967_296, 'bytes'),
    sameHostTakeover: boolean,
    sweepEveryMs: wholeNumber(100, 3_600_000, 'milliseconds'),
    blobStore: isBlobStore,
    blobBytes: wholeNumber(1, 17_179_869_184, 'bytes'),
    clientName: (v) =>
      (typeof v === 'string' && /^[!-~]{1,64}$/.test(v)) || 'must be 1 to 64 printable characters',
    instrumentation: isInstrumentation,
  })
  const resolved = resolveAddress(address, options.tls, problems)
  throwProblems('connect', problems)
  if (resolved === undefined) throw new MillraceError('INTERNAL', 'an address without problems')
  return {
    address: resolved,
    prefix: options.prefix ?? defaults.prefix,
    signal: options.signal,
    deadlineMs: options.deadlineMs ?? defaults.deadlineMs,
    connectTimeoutMs: options.connectTimeoutMs ?? defaults.connectTimeoutMs,
    blockMs: options.blockMs ?? defaults.blockMs,
    maxTails: options.maxTails ?? defaults.maxTails,
    readAheadBytes: options.readAheadBytes ?? defaults.readAheadBytes,
    sameHostTakeover: options.sameHostTakeover ?? defaults.sameHostTakeover,
    sweepEveryMs: options.sweepEveryMs ?? defaults.sweepEveryMs,
    blobStore: options.blobStore,
    blobBytes: options.blobBytes ?? defaults.blobBytes,
    clientName: options.clientName ?? defaults.clientName,
    instrumentation: options.instrumentation,
  }
}

function resolveAddress(
  address: unknown,
  tls: TlsOptions | undefined,
  problems: string[],
): ResolvedAddress | undefined {
  if (typeof address === 'string') {
    const url = parseUrl('url', address, problems)
    return url === undefined ? undefined : { kind: 'standalone', node: nodeOptions(url, tls) }
  }
  if (typeof address !== 'object' || address === null) {
    problems.push('address must be a URL, { sentinels, name } or { cluster }')
    return undefined
  }
  if ('cluster' in address) return resolveCluster(address, tls, problems)
  if ('sentinels' in address) return resolveSentinels(address, tls, problems)
  problems.push('address must be a URL, { sentinels, name } or { cluster }')
  return undefined
}

function resolveCluster(
  address: { cluster: unknown },
  tls: TlsOptions | undefined,
  problems: string[],
): ResolvedAddress | undefined {
  problems.push(...optionProblems(address, { cluster: isUrlList }, 'address.'))
  const urls = parseUrls('address.cluster', address.cluster, problems)
  const [first] = urls
  if (first === undefined) return undefined
  if (urls.some((url) => url.db !== 0))
    problems.push('address.cluster: a cluster has only database 0')
  return {
    kind: 'cluster',
    seeds: urls.map(({ host, port }) => ({ host, port })),
    node: nodeOptions(first, tls),
  }
}

function resolveSentinels(
  address: { sentinels: unknown },
  tls: TlsOptions | undefined,
  problems: string[],
): ResolvedAddress | undefined {
  const text = (v: unknown): boolean | string =>
    (typeof v === 'string' && v !== '') || 'must be a text that is not empty'
  problems.push(
    ...optionProblems(
      address,
      { sentinels: isUrlList, name: text, username: text, password: text },
      'address.',
    ),
  )
  const given = address as { name?: string; username?: string; password?: string }
  if (given.name === undefined) problems.push('address.name is missing')
  const urls = parseUrls('address.sentinels', address.sentinels, problems)
  const [first] = urls
  if (first === undefined || given.name === undefined) return undefined
  const secure = tls ?? (first.secure ? {} : undefined)
  return {
    kind: 'sentinel',
    node: {
      name: given.name,
      role: 'master',
      sentinels: urls.map(({ host, port }) => ({ host, port })),
      ...(first.username === undefined ? {} : { sentinelUsername: first.username }),
      ...(first.password === undefined ? {} : { sentinelPassword: first.password }),
      ...(given.username === undefined ? {} : { username: given.username }),
      ...(given.password === undefined ? {} : { password: given.password }),
      ...(secure === undefined
        ? {}
        : { tls: secure, sentinelTLS: secure, enableTLSForSentinelMode: true }),
    },
  }
}

interface RedisUrl extends HostPort {
  readonly username: string | undefined
  readonly password: string | undefined
  readonly db: number
  readonly secure: boolean
}

function isUrlList(value: unknown): boolean | string {
  return (Array.isArray(value) && value.length > 0) || 'must be a list of URLs that is not empty'
}

function parseUrls(where: string, list: unknown, problems: string[]): RedisUrl[] {
  if (!Array.isArray(list)) return []
  return list.flatMap((text: unknown) => parseUrl(where, text, problems) ?? [])
}

function parseUrl(where: string, text: unknown, problems: string[]): RedisUrl | undefined {
  // The text itself stays out of the message: it may hold a password.
  const url = typeof text === 'string' && URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^rediss?:$/.test(url.protocol) || url.hostname === '') {
    problems.push(`${where} must be a URL like redis://user:password@host:6379/0 or rediss://…`)
    return undefined
  }
  const db = url.pathname.replace(/^\//, '')
  if (!/^\d{0,5}$/.test(db)) {
    problems.push(`${where} has a database that is not a number`)
    return undefined
  }
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? 6379 : Number(url.port),
    username: url.username === '' ? undefined : decodeURIComponent(url.username),
    password: url.password === '' ? undefined : decodeURIComponent(url.password),
    db: Number(db),
    secure: url.protocol === 'rediss:',
  }
}

function nodeOptions(url: RedisUrl, tls: TlsOptions | undefined): RedisOptions {
  const secure = tls ?? (url.secure ? {} : undefined)
  return {
    host: url.host,
    port: url.port,
    db: url.db,
    ...(url.username === undefined ? {} : { username: url.username }),
    ...(url.password === undefined ? {} : { password: url.password }),
    ...(secure === undefined ? {} : { tls: secure }),
  }
}
