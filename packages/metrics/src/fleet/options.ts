import type { ConnectionOptions as TlsOptions } from 'node:tls'
import { MillraceError, type RedisAddress } from '@millrace/runtime'
import { type FleetAddress, fleetAddress } from './fleet-address.ts'
import { globToPattern } from './glob.ts'
import type { VerdictBounds } from './verdict.ts'

export interface FleetOptions {
  /** Where Redis is: a URL, sentinels, or some nodes of a cluster; as in `connect` of the runtime. */
  readonly redis: RedisAddress
  /** TLS settings, for a private authority or client certificates. @defaultValue from the URL */
  readonly tls?: TlsOptions
  /**
   * Which keys are looked at, as globs of Redis: `mr:*` are all streams of Millrace's default prefix. Any of
   * them suffices. @defaultValue `['*']`, every stream
   */
  readonly include?: readonly string[]
  /** Which of these are not, likewise. @defaultValue none */
  readonly exclude?: readonly string[]
  /**
   * How many streams are read; of more, those that come later in the alphabet are skipped and counted. Each
   * costs one command per scrape and some twenty time series, plus twenty per group. @defaultValue 1_500
   */
  readonly maxStreams?: number
  /** How many groups of a stream are shown, likewise. @defaultValue 100 */
  readonly maxGroupsPerStream?: number
  /**
   * How many Redis consumers of a group have time series of their own; 0 for none. Of Millrace's groups they
   * have a random name for each start, so they come and go. @defaultValue 50
   */
  readonly maxConsumersPerGroup?: number
  /**
   * How many commands one scrape may run in Redis, those inside of scripts included. What every scrape needs,
   * one command per stream, must fit; details are read in turns with the rest. Too low: details are old,
   * lags are estimates. Too high: scrapes take longer. @defaultValue 2_200
   */
  readonly maxCommands?: number
  /**
   * How many events one scrape may count where figures do not tell the lag. Redis takes about a
   * microsecond for each. 0 turns counting off, and with it all use of scripts. @defaultValue 20_000
   */
  readonly maxCountedEvents?: number
  /**
   * For how long Redis may be kept from its other clients at once, in microseconds, as far as commands can be
   * told to take less: so many are sent at once, and the next when they are answered. Too low: scrapes take
   * long, above all on the way to a Redis that is far away. Too high: other clients notice scrapes.
   * @defaultValue 75
   */
  readonly maxBusyMicros?: number
  /** How often the key space is gone through for new streams, in milliseconds. @defaultValue 60_000 */
  readonly discoverEveryMs?: number
  /**
   * How long one scrape may take, in milliseconds; what did not come by then is missing in it. To be less
   * than Prometheus' scrape timeout (10 s by default). @defaultValue 5_000
   */
  readonly deadlineMs?: number
  /** How far back the verdict on a group looks, in milliseconds. @defaultValue 300_000 (5 minutes) */
  readonly windowMs?: number
  /**
   * How long events may wait while a group does not move at all, in milliseconds, before it is called
   * stalled or stopped. To be more than the longest handler takes. @defaultValue 60_000
   */
  readonly patienceMs?: number
  /**
   * How old an event may get before a group that works is called lagging, in milliseconds.
   * @defaultValue 300_000 (5 minutes)
   */
  readonly maxLagMs?: number
  /** The name that connections carry in `CLIENT LIST`. @defaultValue `millrace-metrics` */
  readonly clientName?: string
}

export interface ResolvedFleetOptions {
  readonly address: FleetAddress
  readonly isWatched: (key: string) => boolean
  readonly maxStreams: number
  readonly maxGroupsPerStream: number
  readonly maxConsumersPerGroup: number
  readonly maxCommands: number
  readonly maxCountedEvents: number
  readonly maxBusyMicros: number
  readonly discoverEveryMs: number
  readonly deadlineMs: number
  readonly bounds: VerdictBounds
  readonly clientName: string
}

const defaults = Object.freeze({
  include: ['*'],
  exclude: [],
  maxStreams: 1_500,
  maxGroupsPerStream: 100,
  maxConsumersPerGroup: 50,
  maxCommands: 2_200,
  maxCountedEvents: 20_000,
  maxBusyMicros: 75,
  discoverEveryMs: 60_000,
  deadlineMs: 5_000,
  windowMs: 300_000,
  patienceMs: 60_000,
  maxLagMs: 300_000,
  clientName: 'millrace-metrics',
})

type Check = (value: unknown) => string | undefined

const CHECKS: Readonly<Record<Exclude<keyof FleetOptions, 'redis'>, Check>> = {
  tls: (v) => (typeof v === 'object' && v !== null ? undefined : 'must be TLS options'),
  include: globs,
  exclude: globs,
  maxStreams: wholeNumber(1, 100_000),
  maxGroupsPerStream: wholeNumber(1, 10_000),
  maxConsumersPerGroup: wholeNumber(0, 10_000),
  maxCommands: wholeNumber(10, 1_000_000),
  maxCountedEvents: wholeNumber(0, 10_000_000),
  maxBusyMicros: wholeNumber(1, 1_000_000),
  discoverEveryMs: wholeNumber(0, 86_400_000),
  deadlineMs: wholeNumber(100, 600_000),
  windowMs: wholeNumber(1_000, 86_400_000),
  patienceMs: wholeNumber(1_000, 86_400_000),
  maxLagMs: wholeNumber(1, 86_400_000),
  clientName: (v) =>
    typeof v === 'string' && /^[!-~]{1,64}$/.test(v)
      ? undefined
      : 'must be 1 to 64 printable characters',
}

/** @throws MillraceError `OPTIONS_INVALID`, listing all problems */
export function resolveFleetOptions(options: FleetOptions): ResolvedFleetOptions {
  const problems: string[] = []
  for (const [name, value] of Object.entries(options)) {
    if (name === 'redis' || value === undefined) continue
    const check = Object.hasOwn(CHECKS, name) ? CHECKS[name as keyof typeof CHECKS] : undefined
    const problem = check === undefined ? 'is not an option' : check(value)
    if (problem !== undefined) problems.push(`${name} ${problem}`)
  }
  const { tls, include = defaults.include, exclude = defaults.exclude } = options
  const all = { ...defaults, ...withoutUndefined(options) }
  const address = fleetAddress(options.redis, tls, problems)
  if (problems.length === 0 && all.maxStreams + LEAST_EXTRA_COMMANDS > all.maxCommands) {
    problems.push(`maxCommands must be at least maxStreams + ${LEAST_EXTRA_COMMANDS}`)
  }
  if (problems.length > 0 || address === undefined) {
    const message = `Fleet exporter: ${problems.join('; ')}`
    throw new MillraceError('OPTIONS_INVALID', message, { issues: problems })
  }
  const [included, excluded] = [include.map(globToPattern), exclude.map(globToPattern)]
  return {
    address,
    isWatched: (key) =>
      included.some((pattern) => pattern.test(key)) &&
      !excluded.some((pattern) => pattern.test(key)),
    maxStreams: all.maxStreams,
    maxGroupsPerStream: all.maxGroupsPerStream,
    maxConsumersPerGroup: all.maxConsumersPerGroup,
    maxCommands: all.maxCommands,
    maxCountedEvents: all.maxCountedEvents,
    maxBusyMicros: all.maxBusyMicros,
    discoverEveryMs: all.discoverEveryMs,
    deadlineMs: all.deadlineMs,
    bounds: { windowMs: all.windowMs, patienceMs: all.patienceMs, maxLagMs: all.maxLagMs },
    clientName: all.clientName,
  }
}

/** For discovery and some details, so that all of them get their turn. */
const LEAST_EXTRA_COMMANDS = 8

function wholeNumber(least: number, most: number): Check {
  return (value) =>
    Number.isInteger(value) && (value as number) >= least && (value as number) <= most
      ? undefined
      : `must be a whole number from ${least} to ${most}`
}

function globs(value: unknown): string | undefined {
  const isList = Array.isArray(value) && value.every((one) => typeof one === 'string' && one !== '')
  return isList ? undefined : 'must be a list of globs'
}

function withoutUndefined<T extends object>(options: T): Partial<T> {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as Partial<T>
}
