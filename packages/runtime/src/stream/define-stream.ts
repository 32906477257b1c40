import type { StandardSchemaV1 } from '@standard-schema/spec'
import {
  type ClaimCheck,
  type ClaimCheckOptions,
  claimCheckProblems,
  resolveClaimCheck,
} from '../blob/claim-check.ts'
import { MillraceError } from '../errors.ts'
import { oneOf, optionProblems } from '../lifecycle/options.ts'
import { type Codec, jsonCodec } from './codec.ts'
import { assertName } from './keys.ts'

/** How long and how much an event stream keeps. */
export interface RetentionOptions {
  /**
   * Events older than this may be removed, in milliseconds by the server's clock.
   * Too low: a consumer that is away for longer meets a gap. Too high: memory.
   * @defaultValue 86_400_000 (24 hours)
   */
  readonly maxAgeMs?: number
  /**
   * The number of events above which the oldest may be removed. `Infinity` for no cap.
   * @defaultValue Infinity
   */
  readonly maxLength?: number
  /**
   * What becomes of events that are to be removed by age or length while a consumer or consumer group has
   * not processed them. `expire`: they are removed, counted for each that had not processed them, and each
   * is told of the gap. `keep`: they stay until everybody has processed them, or `hardMaxLength` is passed;
   * one that is abandoned then holds them for ever.
   * @defaultValue 'expire'
   */
  readonly unread?: 'expire' | 'keep'
  /**
   * The number of events above which the oldest are removed whatever `unread` says: what the server's
   * memory can bear. `Infinity` for no cap.
   * @defaultValue Infinity
   */
  readonly hardMaxLength?: number
  /**
   * After how long without any sign of life, in milliseconds by the server's clock, a consumer or consumer
   * group counts as abandoned and is reported. Too low: one that runs once a month is reported each month.
   * @defaultValue 604_800_000 (7 days)
   */
  readonly abandonedAfterMs?: number
  /**
   * What becomes of one that is abandoned: it is reported, or also removed with its position, so that it
   * begins anew if it ever comes back. Groups of others are only reported.
   * @defaultValue 'report'
   */
  readonly abandoned?: 'remove' | 'report'
}

/** {@link RetentionOptions}, all there. */
export interface Retention {
  readonly maxAgeMs: number
  readonly maxLength: number
  readonly unread: 'expire' | 'keep'
  readonly hardMaxLength: number
  readonly abandonedAfterMs: number
  readonly abandoned: 'remove' | 'report'
}

/** What a single event may weigh. */
export interface LimitOptions {
  /**
   * The greatest size of one encoded event (data, key, type and headers), in bytes. A larger one is
   * refused at publish with `PAYLOAD_TOO_LARGE`.
   * @defaultValue 1_048_576 (1 MiB)
   */
  readonly maxPayloadBytes?: number
}

export interface StreamOptions<Input> {
  /**
   * Derives the key of an event from its input: events of one key are handled in order, and in
   * `order: 'key'` different keys are handled side by side.
   * @defaultValue none: all events of the stream belong together
   */
  readonly key?: (input: Input) => string
  /** How payloads are stored. @defaultValue {@link jsonCodec} */
  readonly codec?: Codec
  readonly retention?: RetentionOptions
  readonly limits?: LimitOptions
  /**
   * Keeps large payloads in the blob store of the connection; the events refer to them. Producers and
   * consumers need the store (`connect`, `blobStore`).
   * @defaultValue none: what is larger than `limits.maxPayloadBytes` is refused
   */
  readonly claimCheck?: ClaimCheckOptions
  /**
   * Puts the stream into one cluster slot with all others of the same tag, so that one blocking read
   * serves them all. Cannot be changed once the stream has data.
   * @defaultValue the stream's own name
   */
  readonly colocate?: string
  /** How many partitions the stream has. Only 1 is possible today. @defaultValue 1 */
  readonly partitions?: number
}

export interface SchemaStreamOptions<Schema extends StandardSchemaV1>
  extends StreamOptions<StandardSchemaV1.InferInput<Schema>> {
  /** Any Standard Schema (zod, valibot, arktype, …); applied to the input at publish and again on read. */
  readonly schema: Schema
}

/** An event stream's definition: a logical, ordered channel of events. Plain data, shared freely. */
export interface EventStream<Input = unknown, Output = Input> {
  readonly name: string
  /** Takes anything, as validation does; so a consumer takes a stream whatever its input is. */
  readonly schema: StandardSchemaV1<unknown, Output> | undefined
  readonly key: ((input: Input) => string) | undefined
  readonly codec: Codec
  readonly retention: Retention
  readonly limits: { readonly maxPayloadBytes: number }
  readonly claimCheck: ClaimCheck | undefined
  readonly colocate: string | undefined
  readonly partitions: 1
}

const defaults = Object.freeze({
  maxAgeMs: 86_400_000,
  maxLength: Number.POSITIVE_INFINITY,
  unread: 'expire' as const,
  hardMaxLength: Number.POSITIVE_INFINITY,
  abandonedAfterMs: 7 * 86_400_000,
  abandoned: 'report' as const,
  maxPayloadBytes: 1_048_576,
})

/** Redis refuses bulk strings above its `proto-max-bulk-len`, 512 MiB by default. */
const LARGEST_PAYLOAD_BYTES = 512 * 1024 * 1024

/**
 * Defines an event stream. Nothing is sent to Redis: the stream comes into being with the first
 * publish or the first consumer.
 * @throws MillraceError `OPTIONS_INVALID`, listing all problems
 */
export function defineStream<Schema extends StandardSchemaV1>(
  name: string,
  options: SchemaStreamOptions<Schema>,
): EventStream<StandardSchemaV1.InferInput<Schema>, StandardSchemaV1.InferOutput<Schema>>
export function defineStream<Payload = unknown>(
  name: string,
  options?: StreamOptions<Payload>,
): EventStream<Payload, Payload>
export function defineStream(
  name: string,
  options: StreamOptions<unknown> & { readonly schema?: StandardSchemaV1 } = {},
): EventStream {
  assertName('The name of an event stream', name)
  const problems = optionProblems(options, {
    schema: (v) => isStandardSchema(v) || 'must be a Standard Schema',
    key: (v) => typeof v === 'function' || 'must be a function',
    codec: (v) => isCodec(v) || 'must have name, binary, encode and decode',
    retention: (v) => typeof v === 'object' || 'must be an object',
    limits: (v) => typeof v === 'object' || 'must be an object',
    claimCheck: () => true,
    colocate: (v) => /^[A-Za-z0-9._-]{1,128}$/.test(String(v)) || 'must be a valid name',
    partitions: (v) => v === 1 || 'must be 1: streams with more partitions are not supported yet',
  })
  const retention = options.retention ?? {}
  const limits = options.limits ?? {}
  const maxPayloadBytes = limits.maxPayloadBytes ?? defaults.maxPayloadBytes
  problems.push(
    ...optionProblems(
      retention,
      {
        maxAgeMs: (v) => atLeast(v, 1) || 'must be a number of at least 1, in milliseconds',
        maxLength: (v) => atLeast(v, 1) || 'must be a number of at least 1',
        unread: oneOf('expire', 'keep'),
        hardMaxLength: (v) => atLeast(v, 1) || 'must be a number of at least 1',
        // Signs of life are written once a minute.
        abandonedAfterMs: (v) => atLeast(v, 120_000) || 'must be at least 120000 milliseconds',
        abandoned: oneOf('remove', 'report'),
      },
      'retention.',
    ),
    ...optionProblems(
      limits,
      {
        maxPayloadBytes: (v) =>
          (atLeast(v, 1) && (v as number) <= LARGEST_PAYLOAD_BYTES) ||
          `must be a number of bytes from 1 to ${LARGEST_PAYLOAD_BYTES}`,
      },
      'limits.',
    ),
    ...claimCheckProblems(options.claimCheck, maxPayloadBytes),
  )
  if (problems.length > 0) {
    throw new MillraceError('OPTIONS_INVALID', `Event stream ${name}: ${problems.join('; ')}`, {
      issues: problems,
      stream: name,
    })
  }
  return Object.freeze({
    name,
    schema: options.schema,
    key: options.key,
    codec: options.codec ?? jsonCodec,
    retention: Object.freeze({
      maxAgeMs: retention.maxAgeMs ?? defaults.maxAgeMs,
      maxLength: retention.maxLength ?? defaults.maxLength,
      unread: retention.unread ?? defaults.unread,
      hardMaxLength: retention.hardMaxLength ?? defaults.hardMaxLength,
      abandonedAfterMs: retention.abandonedAfterMs ?? defaults.abandonedAfterMs,
      abandoned: retention.abandoned ?? defaults.abandoned,
    }),
    limits: Object.freeze({ maxPayloadBytes }),
    claimCheck: resolveClaimCheck(options.claimCheck, maxPayloadBytes),
    colocate: options.colocate,
    partitions: 1,
  })
}

function atLeast(value: unknown, least: number): boolean {
  return typeof value === 'number' && value >= least
}

function isStandardSchema(value: unknown): boolean {
  if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return false
  const standard: unknown = Reflect.get(value, '~standard')
  return (
    typeof standard === 'object' &&
    standard !== null &&
    typeof Reflect.get(standard, 'validate') === 'function'
  )
}

function isCodec(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  return (
    typeof Reflect.get(value, 'encode') === 'function' &&
    typeof Reflect.get(value, 'decode') === 'function' &&
    typeof Reflect.get(value, 'binary') === 'boolean' &&
    typeof Reflect.get(value, 'name') === 'string'
  )
}
