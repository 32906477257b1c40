import {
  abortSignal,
  type OptionCheck,
  oneOf,
  optionProblems,
  throwProblems,
  wholeNumber,
} from '../lifecycle/options.ts'
import {
  type PressureOptions,
  type PressurePolicy,
  pressurePolicy,
  pressureProblems,
  type ResolvedPressureOptions,
  resolvePressureOptions,
} from '../pressure/options.ts'
import {
  type DurabilityOptions,
  durabilityProblems,
  type ResolvedDurability,
  resolveDurability,
} from './durability/options.ts'
import {
  type ResolvedSpoolOptions,
  resolveSpoolOptions,
  type SpoolOptions,
  spoolProblems,
} from './spool/options.ts'

/** How one event is published. */
export interface PublishOptions {
  /** What kind of event it is, readable before the payload is decoded. @defaultValue none */
  readonly type?: string
  /** When the event happened, in milliseconds since 1970. @defaultValue when Redis stored it */
  readonly timeMs?: number
  /** Further facts about the event, text by name. Names are case-sensitive. @defaultValue none */
  readonly headers?: Readonly<Record<string, string>>
  /**
   * Names this event for at least 24 hours: publishing another one with the same key stores nothing
   * and answers with the id of the first. It costs about 100 bytes of Redis memory while remembered.
   * @defaultValue none: every publish stores an event
   */
  readonly idempotencyKey?: string
  /** Gives the event up when it fires. */
  readonly signal?: AbortSignal
  /**
   * How long the event may wait until Redis has confirmed it, in milliseconds, its turn behind other
   * events included. Too low: a failover becomes errors. Too high: callers hang.
   * @defaultValue the producer's `deadlineMs`
   */
  readonly deadlineMs?: number
}

/** How an array of events is published. */
export interface PublishManyOptions extends Omit<PublishOptions, 'idempotencyKey'> {
  /** One idempotency key for each event, in the same order. @defaultValue none */
  readonly idempotencyKeys?: readonly string[]
}

/** Where a published event is durable. */
export type PublishResult = StoredInSpool | StoredInStream

/** The event is in the stream. */
export interface StoredInStream {
  readonly stored: 'stream'
  /** The event's id in the Redis Stream. */
  readonly id: string
  /** Whether an event with the same idempotency key was there before; then `id` is that event's. */
  readonly duplicate: boolean
}

/** The event is on the producer's disk, and goes to the stream in its turn; its id comes only then. */
export interface StoredInSpool {
  readonly stored: 'spool'
  readonly id?: never
  readonly duplicate?: never
}

export interface ProducerOptions {
  /**
   * Names the producer in the stream's books. Each start of a process takes a new epoch under it, so
   * two processes may share one. @defaultValue random
   */
  readonly producerId?: string
  /**
   * How many events may be on their way to Redis, sent and not yet answered; more wait their turn.
   * Too low: less throughput. Too high: more to send again after a reconnect.
   * @defaultValue 8_192 (16 batches of 512)
   */
  readonly maxInFlightEvents?: number
  /** The same bound in bytes. An event larger than this still goes, alone. @defaultValue 16_777_216 (16 MiB) */
  readonly maxInFlightBytes?: number
  /** The default for `PublishOptions.deadlineMs`. @defaultValue the connection's `deadlineMs` */
  readonly deadlineMs?: number
  /**
   * What happens to events while Redis is away: `wait` until their deadline, `fail` as soon as a
   * connection could not be had within half a second, or `spool`: keep them on disk, answer at once, and
   * send them in order when Redis is back, from the next process if need be. `spool` needs
   * {@link spool} and a `producerId` that stays the same from process to process.
   * @defaultValue `wait`
   */
  readonly whenUnavailable?: 'fail' | 'spool' | 'wait'
  /** Where and how much is kept, with `whenUnavailable: 'spool'`. */
  readonly spool?: SpoolOptions
  /**
   * Where an event must be before `publish` resolves, beside the memory of the primary: with replicas, on
   * disk. It costs the way to the replicas or the disk for each batch, and one connection. Not with a spool.
   * @defaultValue none: `publish` resolves when the primary has the event
   */
  readonly durability?: DurabilityOptions
  /**
   * What happens to events while the stream is under pressure, from `high` until below `low`. `signal`: they
   * are published as ever, and `producer.pressure` and the channel `pressureChanged` tell. `delay`: they are
   * published no faster than the slowest consumer works, and fail with `PRESSURE` if their deadline comes
   * first. `reject`: they fail at once with `PRESSURE`, which says when to try again. `spool`: they go to
   * disk, and to the stream when it is over; needs {@link spool}.
   * @defaultValue `signal`
   */
  readonly onPressure?: PressurePolicy
  /**
   * What counts as pressure. Without it, and with `signal`, only memory that has run out does, and nothing
   * is asked of Redis.
   * @defaultValue the server's memory alone
   */
  readonly pressure?: PressureOptions
}

/** The options of a producer without a spool: all its results say `stream`. */
export interface DirectProducerOptions extends ProducerOptions {
  readonly whenUnavailable?: 'fail' | 'wait'
  readonly spool?: never
  readonly onPressure?: Exclude<PressurePolicy, 'spool'>
}

export interface ResolvedProducerOptions {
  /** Undefined means random; it is drawn by whoever starts to send. */
  readonly producerId: string | undefined
  readonly maxInFlightEvents: number
  readonly maxInFlightBytes: number
  readonly deadlineMs: number
  readonly whenUnavailable: 'fail' | 'spool' | 'wait'
  /** Set when events are spooled; then `producerId` is set as well. */
  readonly spool: ResolvedSpoolOptions | undefined
  readonly durability: ResolvedDurability | undefined
  readonly pressure: ResolvedPressureOptions
}

const defaults = Object.freeze({
  maxInFlightEvents: 8_192,
  maxInFlightBytes: 16 * 1024 * 1024,
  whenUnavailable: 'wait' as const,
})

/** A script call's arguments must fit the Lua stack. */
const MOST_HEADERS = 256
const LONGEST_IDEMPOTENCY_KEY = 1_024

/** @throws MillraceError `OPTIONS_INVALID`, listing all problems */
export function resolveProducerOptions(
  options: ProducerOptions,
  connectionDeadlineMs: number,
): ResolvedProducerOptions {
  throwProblems('producer', [
    ...optionProblems(options, {
      producerId: (v) =>
        (typeof v === 'string' && /^[A-Za-z0-9._-]{1,128}$/.test(v)) ||
        'must be 1 to 128 characters out of A–Z a–z 0–9 . _ -',
      maxInFlightEvents: wholeNumber(1, 1_000_000, 'events'),
      maxInFlightBytes: wholeNumber(1, 4_294_967_296, 'bytes'),
      deadlineMs,
      whenUnavailable: oneOf('wait', 'fail', 'spool'),
      spool: (v) => (typeof v === 'object' && v !== null) || 'must be an object',
      durability: (v) => (typeof v === 'object' && v !== null) || 'must be an object',
      onPressure: pressurePolicy,
      pressure: (v) => (typeof v === 'object' && v !== null) || 'must be an object',
    }),
    ...spoolingProblems(options),
    ...durableProblems(options),
    ...(typeof options.pressure === 'object' ? pressureProblems(options.pressure) : []),
  ])
  return {
    producerId: options.producerId,
    maxInFlightEvents: options.maxInFlightEvents ?? defaults.maxInFlightEvents,
    maxInFlightBytes: options.maxInFlightBytes ?? defaults.maxInFlightBytes,
    deadlineMs: options.deadlineMs ?? connectionDeadlineMs,
    whenUnavailable: options.whenUnavailable ?? defaults.whenUnavailable,
    spool: options.spool === undefined ? undefined : resolveSpoolOptions(options.spool),
    durability:
      options.durability === undefined ? undefined : resolveDurability(options.durability),
    pressure: resolvePressureOptions(options.onPressure, options.pressure),
  }
}

/** @throws MillraceError `OPTIONS_INVALID`, listing all problems */
export function checkPublishOptions(options: PublishOptions): void {
  throwProblems('publish', optionProblems(options, publishChecks))
}

/** @throws MillraceError `OPTIONS_INVALID`, listing all problems */
export function checkPublishManyOptions(options: PublishManyOptions, events: number): void {
  throwProblems(
    'publishMany',
    optionProblems(options, {
      ...sharedChecks,
      idempotencyKeys: (v) => {
        if (!Array.isArray(v)) return 'must be an array'
        if (v.length !== events)
          return `must have one key for each of the ${events} events, not ${v.length}`
        const bad = v.findIndex((key) => idempotencyKey(key) !== true)
        return bad === -1 || `[${bad}] ${String(idempotencyKey(v[bad]))}`
      },
    }),
  )
}

function spoolingProblems(options: ProducerOptions): string[] {
  const { whenUnavailable, spool, producerId, onPressure } = options
  const problems =
    typeof spool === 'object' && spool !== null ? spoolProblems(spool) : ([] as string[])
  if (onPressure === 'spool' && whenUnavailable !== 'spool') {
    problems.push("onPressure: 'spool' needs whenUnavailable: 'spool' and its spool")
  }
  if (whenUnavailable !== 'spool') {
    return spool === undefined
      ? problems
      : [...problems, "spool is only for whenUnavailable: 'spool'"]
  }
  if (spool === undefined) problems.push("spool must be given with whenUnavailable: 'spool'")
  if (producerId === undefined) {
    problems.push(
      "producerId must be given with whenUnavailable: 'spool': the next process finds by it what this one left",
    )
  }
  return problems
}

function durableProblems({ durability, whenUnavailable }: ProducerOptions): string[] {
  if (typeof durability !== 'object' || durability === null) return []
  const problems = durabilityProblems(durability)
  if (whenUnavailable === 'spool')
    problems.push("durability does not go with whenUnavailable: 'spool'")
  return problems
}

const deadlineMs: OptionCheck = wholeNumber(1, 3_600_000, 'milliseconds')

const idempotencyKey: OptionCheck = (value) =>
  (typeof value === 'string' && value !== '' && value.length <= LONGEST_IDEMPOTENCY_KEY) ||
  `must be a text of 1 to ${LONGEST_IDEMPOTENCY_KEY} characters`

const headers: OptionCheck = (value) => {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return 'must be an object'
  const entries = Object.entries(value)
  if (entries.length > MOST_HEADERS) return `must be at most ${MOST_HEADERS} headers`
  for (const [name, text] of entries) {
    if (name === '' || hasControlCharacter(name)) {
      return `has the name ${JSON.stringify(name)}, which is empty or has control characters`
    }
    if (typeof text !== 'string') return `.${name} must be a text`
  }
  return true
}

const sharedChecks: Readonly<Record<string, OptionCheck>> = {
  type: (v) => typeof v === 'string' || 'must be a text',
  timeMs: wholeNumber(0, Number.MAX_SAFE_INTEGER, 'milliseconds since 1970'),
  headers,
  signal: abortSignal,
  deadlineMs,
}

const publishChecks: Readonly<Record<string, OptionCheck>> = { ...sharedChecks, idempotencyKey }

function hasControlCharacter(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < 0x20 || code === 0x7f) return true
  }
  return false
}
