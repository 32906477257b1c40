/** The closed set of codes; {@link errorCodes} says what each means. */
export type ErrorCode =
  | 'ABORTED'
  | 'AUTH_FAILED'
  | 'BLOB_CORRUPT'
  | 'BLOB_MISSING'
  | 'BLOB_STORE_ABSENT'
  | 'BLOB_STORE_FAILED'
  | 'BLOB_STORE_FULL'
  | 'CLOSED'
  | 'CURSOR_INVALID'
  | 'DEAD_LETTER_FULL'
  | 'GAP'
  | 'HANDLER_FAILED'
  | 'INTERNAL'
  | 'KEY_TYPE'
  | 'LEASE_LOST'
  | 'NAME_IN_USE'
  | 'NOT_DURABLE'
  | 'OPTIONS_INVALID'
  | 'OUT_OF_MEMORY'
  | 'PAYLOAD_INVALID'
  | 'PAYLOAD_TOO_LARGE'
  | 'PERMISSION_DENIED'
  | 'PRESSURE'
  | 'PUBLISH_UNKNOWN'
  | 'SERVER_UNSUPPORTED'
  | 'SPOOL_CORRUPT'
  | 'SPOOL_EXPIRED'
  | 'SPOOL_FAILED'
  | 'SPOOL_FULL'
  | 'STATE_INVALID'
  | 'STREAM_MISMATCH'
  | 'TOO_MANY_TAILS'
  | 'UNAVAILABLE'

export interface ErrorCodeFacts {
  /** Whether the same call may succeed later without any change. */
  readonly retryable: boolean
  readonly meaning: string
  /** What to do. */
  readonly remedy: string
}

/**
 * Every error that Millrace throws is a {@link MillraceError} with one of these codes. The table with
 * meaning and remedy stands in `docs/errors.md`, which is generated from here.
 */
export const errorCodes: Readonly<Record<ErrorCode, ErrorCodeFacts>> = {
  ABORTED: {
    retryable: false,
    meaning: 'The caller’s AbortSignal fired before the call was done.',
    remedy: 'Nothing to do: this was asked for.',
  },
  AUTH_FAILED: {
    retryable: false,
    meaning: 'Redis refused the user name or the password.',
    remedy: 'Check the credentials in the URL or the options.',
  },
  BLOB_CORRUPT: {
    retryable: false,
    meaning:
      'The blob that an event refers to has another size or SHA-256 than was noted at publish.',
    remedy:
      'Put the right content back under its key and redrive the dead letter; find out who writes to the store.',
  },
  BLOB_MISSING: {
    retryable: false,
    meaning: 'The blob that an event refers to is not in the blob store.',
    remedy:
      'Make sure that producers and consumers have the same store; restore the blob and redrive the dead letter.',
  },
  BLOB_STORE_ABSENT: {
    retryable: false,
    meaning: 'A payload lies, or would have to lie, in a blob store, and this connection has none.',
    remedy: 'Give `connect` the `blobStore` that the producers of the stream use.',
  },
  BLOB_STORE_FAILED: {
    retryable: true,
    meaning: 'The blob store could not be reached, or failed.',
    remedy: 'See `cause`. Consumers try again like after a handler that failed.',
  },
  BLOB_STORE_FULL: {
    retryable: true,
    meaning: 'The blob store has no room for the payload. The event was not published.',
    remedy:
      'Make room, or publish less; what retention lets go is removed from the store within hours.',
  },
  CLOSED: {
    retryable: false,
    meaning: 'The object, or the connection it belongs to, was closed.',
    remedy: 'Make a new one; a closed object never opens again.',
  },
  CURSOR_INVALID: {
    retryable: false,
    meaning:
      'The cursor does not belong to this event stream: the stream was created anew, or the cursor is ahead of it.',
    remedy: 'Start again from `earliest`, a time, or an id that you know.',
  },
  DEAD_LETTER_FULL: {
    retryable: false,
    meaning:
      'The dead-letter stream reached its length cap, so no further event can be moved there.',
    remedy: 'Redrive or discard dead letters, then start the consumer again.',
  },
  GAP: {
    retryable: false,
    meaning: 'Events were removed by retention before the consumer or reader read them.',
    remedy: 'Choose to continue after the gap, or read the lost events from their source.',
  },
  HANDLER_FAILED: {
    retryable: false,
    meaning: 'A handler failed as often as it may, and the owner chose to stop.',
    remedy: 'See `cause`; mend the handler and start the consumer again, it resumes at this event.',
  },
  INTERNAL: {
    retryable: false,
    meaning: 'An invariant of Millrace was violated.',
    remedy: 'Report it with the message and the stack.',
  },
  KEY_TYPE: {
    retryable: false,
    meaning: 'A key that Millrace needs holds a value of another type.',
    remedy: 'Choose another prefix or stream name, or remove the foreign key.',
  },
  LEASE_LOST: {
    retryable: true,
    meaning: 'Another holder took over the lease; this one’s writes were refused.',
    remedy: 'Nothing is lost: the new holder resumes at the last checkpoint.',
  },
  NAME_IN_USE: {
    retryable: false,
    meaning:
      'The name belongs to a consumer group where a consumer was asked for, or the other way round; or somebody is at work under a name that is to be removed, reset or deleted.',
    remedy: 'Choose another name; or close whoever works under it first.',
  },
  NOT_DURABLE: {
    retryable: false,
    meaning:
      'The event is in the stream, but was not confirmed by the replicas or the disks that the producer’s `durability` asks for in time.',
    remedy:
      'Do not publish it again, or with the same `idempotencyKey`. It is lost only if the primary fails before the others have it; see to the replicas.',
  },
  OPTIONS_INVALID: {
    retryable: false,
    meaning: 'One or more options are unknown or out of range; the message lists all of them.',
    remedy: 'Correct the options.',
  },
  OUT_OF_MEMORY: {
    retryable: true,
    meaning: 'Redis reached `maxmemory` and refused to store the event.',
    remedy: 'Let consumers catch up, shorten retention, or raise `maxmemory`.',
  },
  PAYLOAD_INVALID: {
    retryable: false,
    meaning: 'The payload does not satisfy the stream’s schema, or cannot be encoded or decoded.',
    remedy: 'See `issues` for what is wrong with it.',
  },
  PAYLOAD_TOO_LARGE: {
    retryable: false,
    meaning: 'The encoded event is larger than the stream’s limit.',
    remedy:
      'Send a smaller payload, raise `limits.maxPayloadBytes`, or let `claimCheck` keep it in a blob store.',
  },
  PERMISSION_DENIED: {
    retryable: false,
    meaning: 'The Redis user lacks the right for a command or a key.',
    remedy: 'Grant the rights listed in `docs/guarantees.md`.',
  },
  PRESSURE: {
    retryable: true,
    meaning:
      'The event was not sent because the stream is under pressure and its producer is told to reject or to delay.',
    remedy: 'Publish again after `retryAfterMs`, or let consumers catch up.',
  },
  PUBLISH_UNKNOWN: {
    retryable: false,
    meaning: 'The event was given up while its outcome was not known: it may be in the stream.',
    remedy: 'Publish again with the same `idempotencyKey`, or accept a possible duplicate.',
  },
  SERVER_UNSUPPORTED: {
    retryable: false,
    meaning:
      'The server is older than Redis 7.0 or Valkey 8, or lacks a command that Millrace needs.',
    remedy: 'Upgrade the server.',
  },
  SPOOL_CORRUPT: {
    retryable: false,
    meaning:
      'A spool file is damaged. Nothing of it was sent, it was kept, and its producer stopped; the message names the file and what of it can be read.',
    remedy:
      'Move the file and its companions away, make a new producer, and rescue the events as `docs/durability.md` says.',
  },
  SPOOL_EXPIRED: {
    retryable: false,
    meaning:
      'The spool holds events older than `spool.maxAgeMs`, of which Redis may no longer know whether they are in the stream. They are kept, and the producer stopped.',
    remedy:
      'Raise `spool.maxAgeMs` if it is below its limit; otherwise go on as with `SPOOL_CORRUPT`.',
  },
  SPOOL_FAILED: {
    retryable: false,
    meaning: 'The spool could not be written or read; the event is not in it.',
    remedy: 'See the message for what the disk or the operating system said.',
  },
  SPOOL_FULL: {
    retryable: true,
    meaning:
      'Redis is away, or to be spared, and the spool is full: `spool.maxBytes` is reached, or the disk is full. Nothing of the call was kept.',
    remedy:
      'Publish less, wait for Redis or for consumers, make room on the disk or raise `spool.maxBytes`.',
  },
  STATE_INVALID: {
    retryable: false,
    meaning:
      'The call does not fit the state of the object, for example a second `start`, or a reset of a name that does not exist.',
    remedy: 'See the message for the state and the calls that it allows.',
  },
  STREAM_MISMATCH: {
    retryable: false,
    meaning: 'The stream exists with another definition (partitions, tag or format).',
    remedy: 'Use the definition that the stream was created with.',
  },
  TOO_MANY_TAILS: {
    retryable: false,
    meaning: 'The streams of this process spread over more cluster slots than `maxTails` allows.',
    remedy: 'Put small streams into one slot with `colocate`, or raise `maxTails`.',
  },
  UNAVAILABLE: {
    retryable: true,
    meaning: 'Redis could not be reached, or did not answer, within the deadline.',
    remedy: 'Try again; see `cause` for the last connection error.',
  },
}

export interface ErrorFacts {
  /** What went wrong underneath, kept as it was. */
  readonly cause?: unknown
  /** One line for each problem, for `OPTIONS_INVALID` and `PAYLOAD_INVALID`. */
  readonly issues?: readonly string[]
  /** The event stream that the call was about. */
  readonly stream?: string
  /** The consumer, consumer group, reader or producer that the call was about. */
  readonly name?: string
  /** What is missing, for `GAP`. */
  readonly gap?: Gap
  /** When to try again, for `PRESSURE`. */
  readonly retryAfterMs?: number
}

/** Events that retention removed before a consumer, consumer group or reader had processed them. */
export interface Gap {
  /** Everything at or before this id had been processed. */
  readonly from: string
  /** The last id that was removed unread. A Reader that begins after it meets this gap no more. */
  readonly to: string
  /** How many were removed, not counting what had been processed out of order. */
  readonly events: number
  /** Whether that number is certain; otherwise it is an estimate. */
  readonly known: boolean
}

/** The one error class of Millrace. Decide by `code`, never by the message. */
export class MillraceError extends Error {
  override readonly name: string = 'MillraceError'
  readonly code: ErrorCode
  /** Whether the same call may succeed later without any change. */
  readonly retryable: boolean
  readonly issues: readonly string[]
  readonly stream: string | undefined
  readonly subject: string | undefined
  /** What is missing, with `GAP`. */
  readonly gap: Gap | undefined
  /** After how many milliseconds to try again, with `PRESSURE`. */
  readonly retryAfterMs: number | undefined

  constructor(code: ErrorCode, message: string, facts: ErrorFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause })
    this.code = code
    this.retryable = errorCodes[code].retryable
    this.issues = facts.issues ?? []
    this.stream = facts.stream
    this.subject = facts.name
    this.gap = facts.gap
    this.retryAfterMs = facts.retryAfterMs
  }
}

/** Whether the error is a {@link MillraceError}, optionally with this code. */
export function isMillraceError(error: unknown, code?: ErrorCode): error is MillraceError {
  return error instanceof MillraceError && (code === undefined || error.code === code)
}

/** The text of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
