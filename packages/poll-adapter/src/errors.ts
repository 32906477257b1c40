/** The closed set of codes; {@link pollErrorCodes} says what each means. */
export type PollErrorCode =
  | 'ABORTED'
  | 'BUSY'
  | 'CLOSED'
  | 'CURSOR_AHEAD'
  | 'CURSOR_EXPIRED'
  | 'CURSOR_INVALID'
  | 'FIFO_UNSUPPORTED'
  | 'INTERNAL'
  | 'NOT_FOUND'
  | 'OPTIONS_INVALID'
  | 'REQUEST_INVALID'
  | 'SNAPSHOT_INCOMPLETE'
  | 'SNAPSHOT_TOO_LARGE'
  | 'SOURCE_FAILED'
  | 'STATE_INVALID'
  | 'STREAM_RECREATED'
  | 'SWITCH_REFUSED'
  | 'UNAVAILABLE'

export interface PollErrorCodeFacts {
  /** Whether the same call may succeed later without any change. */
  readonly retryable: boolean
  readonly meaning: string
  /** What to do. */
  readonly remedy: string
}

/**
 * What the poll adapter throws beyond the runtime's own errors. The table with meaning and remedy
 * stands in the package's README, which is held against this one.
 */
export const pollErrorCodes: Readonly<Record<PollErrorCode, PollErrorCodeFacts>> = {
  ABORTED: {
    retryable: false,
    meaning: 'The caller’s AbortSignal fired before the call was done.',
    remedy: 'Nothing to do: this was asked for.',
  },
  BUSY: {
    retryable: true,
    meaning: 'As many polls are waiting in this process as may.',
    remedy: 'Ask again after a pause, or raise `maxWaiting`.',
  },
  CLOSED: {
    retryable: false,
    meaning: 'The object was closed, or is closing.',
    remedy: 'Make a new one; a poller asks again, at another process if need be.',
  },
  CURSOR_AHEAD: {
    retryable: false,
    meaning: 'The cursor lies ahead of everything that the event stream has or can have.',
    remedy: 'Correct the clock or the cursor of the poller.',
  },
  CURSOR_EXPIRED: {
    retryable: false,
    meaning: 'Retention has removed events after this cursor: going on would hide a loss.',
    remedy: 'Fetch the whole state once from its source or a snapshot, then begin anew.',
  },
  CURSOR_INVALID: {
    retryable: false,
    meaning: 'The cursor cannot be read, or was never handed out.',
    remedy: 'Send a cursor as it was handed out.',
  },
  FIFO_UNSUPPORTED: {
    retryable: false,
    meaning: 'The queue is a FIFO queue; a consumer group hands events out without an order.',
    remedy: 'Use a standard queue, or a Consumer, which keeps order.',
  },
  INTERNAL: {
    retryable: false,
    meaning: 'An invariant of the poll adapter was violated.',
    remedy: 'Report it with the message and the stack.',
  },
  NOT_FOUND: {
    retryable: false,
    meaning: 'What was asked for by name does not exist.',
    remedy: 'Check the name.',
  },
  OPTIONS_INVALID: {
    retryable: false,
    meaning: 'One or more options are unknown or out of range; the message lists all of them.',
    remedy: 'Correct the options.',
  },
  REQUEST_INVALID: {
    retryable: false,
    meaning: 'One or more parameters of a poll are out of range; the message lists all of them.',
    remedy: 'Correct the request.',
  },
  SNAPSHOT_INCOMPLETE: {
    retryable: false,
    meaning: 'Retention had removed events before they were read, so keys may be missing.',
    remedy: 'Give `load`, which fetches the whole state once, or accept it with `incomplete`.',
  },
  SNAPSHOT_TOO_LARGE: {
    retryable: false,
    meaning: 'The latest values of all keys need more memory than the snapshot may use.',
    remedy: 'Raise `maxKeys` or `maxBytes`, or keep fewer or smaller values.',
  },
  SOURCE_FAILED: {
    retryable: true,
    meaning: 'The old source could not be polled, or answered what cannot be used.',
    remedy: 'See `cause` for what it said.',
  },
  STATE_INVALID: {
    retryable: false,
    meaning: 'The call does not fit the state of the object.',
    remedy: 'See the message for the state and the calls that it allows.',
  },
  STREAM_RECREATED: {
    retryable: false,
    meaning: 'The event stream was created anew, or emptied, since the cursor was handed out.',
    remedy: 'Fetch the whole state once from its source or a snapshot, then begin anew.',
  },
  SWITCH_REFUSED: {
    retryable: false,
    meaning: 'The poller cannot be switched to that state; the message says why.',
    remedy: 'Provide what is missing, or stay in the state it has.',
  },
  UNAVAILABLE: {
    retryable: true,
    meaning: 'Events cannot be read at the moment.',
    remedy: 'Try again; see `cause`.',
  },
}

export interface PollErrorFacts {
  /** What went wrong underneath, kept as it was. */
  readonly cause?: unknown
  /** One line for each problem. */
  readonly issues?: readonly string[]
  /** The event stream that the call was about. */
  readonly stream?: string
  /** The poller, bridge, feed, snapshot or queue that the call was about. */
  readonly name?: string
}

/** The one error class of the poll adapter. Decide by `code`, never by the message. */
export class PollAdapterError extends Error {
  override readonly name: string = 'PollAdapterError'
  readonly code: PollErrorCode
  /** Whether the same call may succeed later without any change. */
  readonly retryable: boolean
  readonly issues: readonly string[]
  readonly stream: string | undefined
  readonly subject: string | undefined

  constructor(code: PollErrorCode, message: string, facts: PollErrorFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause })
    this.code = code
    this.retryable = pollErrorCodes[code].retryable
    this.issues = facts.issues ?? []
    this.stream = facts.stream
    this.subject = facts.name
  }
}

/** Whether the error is a {@link PollAdapterError}, optionally with this code. */
export function isPollAdapterError(
  error: unknown,
  code?: PollErrorCode,
): error is PollAdapterError {
  return error instanceof PollAdapterError && (code === undefined || error.code === code)
}

/** The text of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
