import { boolean, optionProblems, wholeNumber } from '../../lifecycle/options.ts'

/** Where an event has to be before `publish` resolves, beside the memory of the primary. */
export interface DurabilityOptions {
  /**
   * How many replicas must have the event: in memory, or on disk with {@link aof}. One is enough for the
   * loss of one server, because Sentinel and Cluster promote the replica that is furthest. More than
   * there are: nothing is ever confirmed.
   * @defaultValue 0 with `aof`, else 1
   */
  readonly replicas?: number
  /**
   * Whether it must be flushed to the append-only file, of the primary and of that many replicas. Needs
   * Redis 7.2 or Valkey, and `appendonly yes`. With `appendfsync everysec` each call waits up to a second.
   * @defaultValue false
   */
  readonly aof?: boolean
  /**
   * How long that may take from when the event is in the stream, in milliseconds; then `publish` fails with
   * `NOT_DURABLE`. Too low: a replica that is slow for a moment becomes errors. Too high: callers hang while
   * there is none. Keep it below `deadlineMs`.
   * @defaultValue 5_000
   */
  readonly timeoutMs?: number
}

export interface ResolvedDurability {
  readonly replicas: number
  readonly aof: boolean
  readonly timeoutMs: number
}

const defaults = Object.freeze({ timeoutMs: 5_000 })

export function durabilityProblems(options: DurabilityOptions): string[] {
  const problems = optionProblems(
    options,
    {
      replicas: wholeNumber(0, 100),
      aof: boolean,
      timeoutMs: wholeNumber(1, 3_600_000, 'milliseconds'),
    },
    'durability.',
  )
  if (options.replicas === 0 && options.aof !== true)
    problems.push('durability.replicas must be at least 1 without durability.aof')
  return problems
}

export function resolveDurability(options: DurabilityOptions): ResolvedDurability {
  const aof = options.aof ?? false
  return {
    replicas: options.replicas ?? (aof ? 0 : 1),
    aof,
    timeoutMs: options.timeoutMs ?? defaults.timeoutMs,
  }
}
