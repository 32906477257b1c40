import type { ConnectionOptions as TlsOptions } from 'node:tls'
import type { RedisAddress } from '@millrace/runtime'
import type { RedisOptions } from 'ioredis'

/** Where the servers are, in the terms of the client. */
export type FleetAddress =
  | { readonly kind: 'single'; readonly name: string; readonly node: RedisOptions }
  | {
      readonly kind: 'cluster'
      readonly seeds: readonly HostPort[]
      /** What is the same for all nodes. */
      readonly node: RedisOptions
    }

export interface HostPort {
  readonly host: string
  readonly port: number
}

/** Adds to the problems, and answers undefined, when it is none. */
export function fleetAddress(
  address: RedisAddress,
  tls: TlsOptions | undefined,
  problems: string[],
): FleetAddress | undefined {
  if (typeof address === 'string') {
    const url = parsed(address, problems)
    if (url === undefined) return undefined
    const name = `${url.place.host}:${url.place.port}`
    return {
      kind: 'single',
      name,
      node: { ...url.place, ...url.login, db: url.db, ...tlsOf(url, tls) },
    }
  }
  if (typeof address !== 'object' || address === null) {
    problems.push('redis must be a URL, { sentinels, name } or { cluster }')
    return undefined
  }
  const list: unknown = 'cluster' in address ? address.cluster : address.sentinels
  const texts = Array.isArray(list) ? (list as unknown[]) : []
  const urls = texts.map((text) => parsed(text, problems)).filter((url) => url !== undefined)
  const [first] = urls
  if (first === undefined) {
    problems.push('redis must name at least one sentinel or node')
    return undefined
  }
  const seeds = urls.map(({ place }) => place)
  if ('cluster' in address) {
    return { kind: 'cluster', seeds, node: { ...first.login, ...tlsOf(first, tls) } }
  }
  if (typeof address.name !== 'string' || address.name === '')
    problems.push('redis.name is missing')
  const secure = tlsOf(first, tls)
  return {
    kind: 'single',
    name: address.name,
    node: {
      name: address.name,
      role: 'master',
      sentinels: seeds,
      ...loginOf(address.username, address.password),
      ...(first.login.username === undefined ? {} : { sentinelUsername: first.login.username }),
      ...(first.login.password === undefined ? {} : { sentinelPassword: first.login.password }),
      ...secure,
      ...(secure.tls === undefined
        ? {}
        : { sentinelTLS: secure.tls, enableTLSForSentinelMode: true }),
    },
  }
}

interface RedisUrl {
  readonly place: HostPort
  readonly login: { readonly username?: string; readonly password?: string }
  readonly db: number
  readonly isSecure: boolean
}

/** The text stays out of the problem: it may hold a password. */
function parsed(text: unknown, problems: string[]): RedisUrl | undefined {
  const url = typeof text === 'string' && URL.canParse(text) ? new URL(text) : undefined
  const db = url?.pathname.replace(/^\//, '') ?? ''
  if (
    url === undefined ||
    !/^rediss?:$/.test(url.protocol) ||
    url.hostname === '' ||
    !/^\d{0,5}$/.test(db)
  ) {
    problems.push('redis must be a URL like redis://user:password@host:6379/0 or rediss://…')
    return undefined
  }
  return {
    place: {
      host: url.hostname.replaceAll(/^\[|\]$/g, ''),
      port: url.port === '' ? 6379 : Number(url.port),
    },
    login: loginOf(decodeURIComponent(url.username), decodeURIComponent(url.password)),
    db: Number(db),
    isSecure: url.protocol === 'rediss:',
  }
}

function loginOf(username: string | undefined, password: string | undefined): RedisUrl['login'] {
  return {
    ...(username === undefined || username === '' ? {} : { username }),
    ...(password === undefined || password === '' ? {} : { password }),
  }
}

function tlsOf({ isSecure }: RedisUrl, tls: TlsOptions | undefined): { tls?: TlsOptions } {
  if (tls !== undefined) return { tls }
  return isSecure ? { tls: {} } : {}
}
