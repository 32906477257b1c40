import { MillraceError } from '../errors.ts'

/** The names of all keys that Millrace writes for one stream partition; `docs/wire-format.md` lists them. */
export interface StreamKeys {
  /** The hash tag, without braces: it decides the cluster slot of every key here. */
  readonly tag: string
  /** The Redis Stream itself. */
  readonly stream: string
  /** Hash: incarnation, definition, retention floor. */
  readonly meta: string
  /** Never written: a read that waits for it waits for its time to pass. */
  readonly empty: string
  /** Hash: one record for each producer epoch. */
  readonly producers: string
  /** Two hashes that take turns day by day: idempotency key → id. */
  readonly idempotency: readonly [string, string]
  /** Hash: the truth about one consumer or consumer group. */
  state(name: string): string
  /** Stream: the dead letters of one consumer or consumer group. */
  dead(name: string): string
  /** Stream: dead letters on their way back to one consumer or consumer group. */
  redrive(name: string): string
  /** A key of another package of Millrace, in the same slot. */
  extension(packageName: string, name: string): string
}

const NAME_PATTERN = /^[A-Za-z0-9._-]{1,128}$/

/** Throws `OPTIONS_INVALID` unless the name can stand in a key. */
export function assertName(what: string, name: unknown): asserts name is string {
  if (typeof name === 'string' && NAME_PATTERN.test(name)) return
  throw new MillraceError(
    'OPTIONS_INVALID',
    `${what} must be 1 to 128 characters out of A–Z a–z 0–9 . _ -, not ${JSON.stringify(name)}`,
    { issues: [`${what}: must match ${NAME_PATTERN.source}`] },
  )
}

/** The keys of partition 0, the only one until ordered groups over partitions arrive. */
export function streamKeys(prefix: string, name: string, colocate: string | undefined): StreamKeys {
  const tag = colocate ?? name
  const stream = `${prefix}{${tag}}${name}`
  return {
    tag,
    stream,
    meta: `${stream}:meta`,
    empty: `${stream}:empty`,
    producers: `${stream}:producers`,
    idempotency: [`${stream}:idempotency:0`, `${stream}:idempotency:1`],
    state: (consumer) => `${stream}:state:${consumer}`,
    dead: (consumer) => `${stream}:dead:${consumer}`,
    redrive: (consumer) => `${stream}:redrive:${consumer}`,
    extension: (packageName, key) => `${stream}:x:${packageName}:${key}`,
  }
}
