import { isMillraceError } from '@millrace/runtime'
import { messageOf } from '../errors.ts'

/** The errors of the SQS API that can come up here, each with its HTTP status. */
const statuses = {
  BatchEntryIdsNotDistinct: 400,
  EmptyBatchRequest: 400,
  InternalFailure: 500,
  InvalidAction: 400,
  InvalidBatchEntryId: 400,
  InvalidMessageContents: 400,
  InvalidParameterValue: 400,
  MessageNotInflight: 400,
  MissingParameter: 400,
  OverLimit: 403,
  QueueDoesNotExist: 400,
  ReceiptHandleIsInvalid: 400,
  ServiceUnavailable: 503,
  TooManyEntriesInBatchRequest: 400,
  UnsupportedOperation: 400,
} as const

export type SqsErrorCode = keyof typeof statuses

/**
 * An error in the form in which the SQS client throws its own, so that code which tells them apart by
 * `name` and `$metadata` finds what it knows.
 */
export class SqsError extends Error {
  override readonly name: SqsErrorCode
  readonly $service = 'SQS'
  readonly $fault: 'client' | 'server'
  readonly $metadata: { readonly httpStatusCode: number }
  readonly $retryable: { readonly throttling: boolean } | undefined

  constructor(code: SqsErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    const status = statuses[code]
    this.name = code
    this.$fault = status < 500 ? 'client' : 'server'
    this.$metadata = Object.freeze({ httpStatusCode: status })
    this.$retryable = status === 503 ? Object.freeze({ throttling: false }) : undefined
  }

  /** The same in one word, as older clients have it. */
  get code(): SqsErrorCode {
    return this.name
  }
}

/** What the SQS client throws when a call is aborted. */
export function aborted(signal: AbortSignal): Error {
  const error = new Error('Request aborted', { cause: signal.reason })
  error.name = 'AbortError'
  return error
}

/** Whatever went wrong, as an error of the SQS API. */
export function toSqsError(error: unknown): Error {
  if (error instanceof SqsError || (error instanceof Error && error.name === 'AbortError')) {
    return error
  }
  if (!isMillraceError(error)) return new SqsError('InternalFailure', messageOf(error), error)
  switch (error.code) {
    case 'PAYLOAD_INVALID':
    case 'PAYLOAD_TOO_LARGE':
      return new SqsError('InvalidMessageContents', error.message, error)
    case 'CLOSED':
    case 'OUT_OF_MEMORY':
    case 'UNAVAILABLE':
      return new SqsError('ServiceUnavailable', error.message, error)
    default:
      return new SqsError('InternalFailure', error.message, error)
  }
}
