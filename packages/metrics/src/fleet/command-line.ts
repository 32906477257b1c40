import { readFileSync } from 'node:fs'
import { parseArgs, type ParseArgsOptionsConfig } from 'node:util'
import { MillraceError, type RedisAddress } from '@millrace/runtime'
import type { FleetOptions } from './options.ts'
import type { ServeOptions } from './serve-fleet.ts'

export type CommandLine =
  | { readonly kind: 'help' }
  | { readonly kind: 'serve'; readonly fleet: FleetOptions; readonly serve: ServeOptions }

export const USAGE = `Shows all event streams of one Redis to Prometheus.

  millrace-metrics --redis redis://localhost:6379 --port 9472

Redis (the variable REDIS_URL stands in for --redis, so that passwords need not be arguments)
  --redis <url>             redis:// or rediss:// with user, password and database
  --sentinel <url> …        the sentinels instead, with --master <name>; --redis then gives the login
  --cluster <url> …         some nodes of a cluster instead
  --tls-ca, --tls-cert, --tls-key <file>

HTTP
  --port <number>           9472
  --host <address>          127.0.0.1; 0.0.0.0 for all

What is read
  --include <glob> …        keys of streams; * by default, mr:* for Millrace's default prefix
  --exclude <glob> …
  --max-streams, --max-groups-per-stream, --max-consumers-per-group <number>
  --max-commands, --max-counted-events, --max-busy-micros <number>
  --discover-every-ms, --deadline-ms <number>

How groups are judged
  --window-ms, --patience-ms, --max-lag-ms <number>
`

const NUMBERS = {
  'max-streams': 'maxStreams',
  'max-groups-per-stream': 'maxGroupsPerStream',
  'max-consumers-per-group': 'maxConsumersPerGroup',
  'max-commands': 'maxCommands',
  'max-counted-events': 'maxCountedEvents',
  'max-busy-micros': 'maxBusyMicros',
  'discover-every-ms': 'discoverEveryMs',
  'deadline-ms': 'deadlineMs',
  'window-ms': 'windowMs',
  'patience-ms': 'patienceMs',
  'max-lag-ms': 'maxLagMs',
} as const satisfies Readonly<Record<string, keyof FleetOptions>>

const OPTIONS = {
  help: { type: 'boolean', short: 'h' },
  redis: { type: 'string' },
  sentinel: { type: 'string', multiple: true },
  master: { type: 'string' },
  cluster: { type: 'string', multiple: true },
  'tls-ca': { type: 'string' },
  'tls-cert': { type: 'string' },
  'tls-key': { type: 'string' },
  port: { type: 'string' },
  host: { type: 'string' },
  include: { type: 'string', multiple: true },
  exclude: { type: 'string', multiple: true },
} as const satisfies ParseArgsOptionsConfig

type Values = ReturnType<typeof parse>

/**
 * @param redisUrl what the variable `REDIS_URL` says
 * @throws MillraceError `OPTIONS_INVALID`, or an error of the system for a file that cannot be read
 */
export function parseCommandLine(
  args: readonly string[],
  redisUrl: string | undefined,
): CommandLine {
  const values = parse(args)
  if (values.help === true) return { kind: 'help' }
  const tls = {
    ...fileOf('ca', values['tls-ca']),
    ...fileOf('cert', values['tls-cert']),
    ...fileOf('key', values['tls-key']),
  }
  const limits: Record<string, number> = {}
  for (const [flag, option] of Object.entries(NUMBERS)) {
    const text: unknown = Reflect.get(values, flag)
    if (typeof text === 'string') limits[option] = numberOf(flag, text)
  }
  return {
    kind: 'serve',
    fleet: {
      redis: addressOf(values, redisUrl),
      ...(Object.keys(tls).length === 0 ? {} : { tls }),
      ...(values.include === undefined ? {} : { include: values.include }),
      ...(values.exclude === undefined ? {} : { exclude: values.exclude }),
      ...limits,
    },
    serve: {
      ...(values.port === undefined ? {} : { port: portOf(values.port) }),
      ...(values.host === undefined ? {} : { host: values.host }),
    },
  }
}

function parse(args: readonly string[]) {
  const numbers = Object.fromEntries(
    Object.keys(NUMBERS).map((flag) => [flag, { type: 'string' }] as const),
  ) satisfies ParseArgsOptionsConfig
  try {
    return parseArgs({ args: [...args], options: { ...numbers, ...OPTIONS }, strict: true }).values
  } catch (error) {
    throw wrong(error instanceof Error ? error.message : String(error))
  }
}

function addressOf(values: Values, redisUrl: string | undefined): RedisAddress {
  const url = values.redis ?? redisUrl
  if (values.cluster !== undefined) return { cluster: values.cluster }
  if (values.sentinel === undefined) {
    if (url === undefined) throw wrong('--redis is missing, and REDIS_URL is not set')
    return url
  }
  const login = url !== undefined && URL.canParse(url) ? new URL(url) : undefined
  return {
    sentinels: values.sentinel,
    name: values.master ?? 'mymaster',
    ...(login?.username ? { username: decodeURIComponent(login.username) } : {}),
    ...(login?.password ? { password: decodeURIComponent(login.password) } : {}),
  }
}

function fileOf(name: string, path: string | undefined): Readonly<Record<string, Buffer>> {
  return path === undefined ? {} : { [name]: readFileSync(path) }
}

function numberOf(flag: string, text: string): number {
  if (!/^\d+$/.test(text)) throw wrong(`--${flag} must be a whole number`)
  return Number(text)
}

function portOf(text: string): number {
  const port = numberOf('port', text)
  if (port > 65_535) throw wrong('--port must be at most 65535')
  return port
}

function wrong(message: string): MillraceError {
  return new MillraceError('OPTIONS_INVALID', message, { issues: [message] })
}
