import { optionProblems, wholeNumber } from '../../lifecycle/options.ts'
import { RECORD_LIFETIME_SECONDS } from '../append-script.ts'

/** Where and how much a producer keeps on disk while Redis is away. */
export interface SpoolOptions {
  /**
   * A directory on a local disk that survives restarts of the process, and that belongs to one Redis and
   * one prefix; several producers and processes may share it. It is created when it is missing. A network
   * file system does not keep the locks, and a container's own layer does not survive the container.
   */
  readonly directory: string
  /**
   * The most that is kept, in bytes of events; beyond it `publish` fails with `SPOOL_FULL`. What was on
   * its way when Redis went away, at most `maxInFlightBytes`, may come on top. Too low: a long outage
   * becomes errors. Too high: disk, and the time to send it all afterwards.
   * @defaultValue 268_435_456 (256 MiB)
   */
  readonly maxBytes?: number
  /**
   * How old an event may get in the spool, in milliseconds. An older one is not sent any more, because
   * Redis remembers for seven days only what it had appended: the producer stops with `SPOOL_EXPIRED`,
   * and the file is kept. At most 6.5 days.
   * @defaultValue 518_400_000 (6 days)
   */
  readonly maxAgeMs?: number
  /**
   * How long Redis may confirm nothing before events go to disk, in milliseconds. Too low: every hiccup
   * costs writes to disk. Too high: callers wait that long when an outage begins.
   * @defaultValue 500
   */
  readonly afterMs?: number
}

export interface ResolvedSpoolOptions {
  readonly directory: string
  readonly maxBytes: number
  readonly maxAgeMs: number
  readonly afterMs: number
}

const defaults = Object.freeze({
  maxBytes: 256 * 1024 * 1024,
  maxAgeMs: 6 * 24 * 3_600_000,
  afterMs: 500,
})

/** Below what a producer epoch is remembered, with time left for sending. */
const GREATEST_AGE_MS = RECORD_LIFETIME_SECONDS * 1_000 - 12 * 3_600_000

export function spoolProblems(options: SpoolOptions): string[] {
  const problems = optionProblems(
    options,
    {
      directory: (v) => (typeof v === 'string' && v !== '') || 'must be the path of a directory',
      maxBytes: wholeNumber(1, Number.MAX_SAFE_INTEGER, 'bytes'),
      maxAgeMs: wholeNumber(1, GREATEST_AGE_MS, 'milliseconds'),
      afterMs: wholeNumber(10, 60_000, 'milliseconds'),
    },
    'spool.',
  )
  if (problems.length === 0 && options.directory === undefined)
    problems.push('spool.directory must be given')
  return problems
}

export function resolveSpoolOptions(options: SpoolOptions): ResolvedSpoolOptions {
  return {
    directory: options.directory,
    maxBytes: options.maxBytes ?? defaults.maxBytes,
    maxAgeMs: options.maxAgeMs ?? defaults.maxAgeMs,
    afterMs: options.afterMs ?? defaults.afterMs,
  }
}
