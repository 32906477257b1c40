import { isMillraceError } from '@millrace/runtime'
import type { PlainResponse } from './answer.ts'
import { isPollAdapterError, messageOf, PollAdapterError } from '../errors.ts'

/** How long a client should wait before it asks again when this process cannot answer, in seconds. */
const RETRY_AFTER_S = 1

/** RFC 9457, with the code of the error and what to mend. */
export interface ProblemDocument {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly code: string
  /** One line for each thing that is wrong with the request. */
  readonly issues?: readonly string[]
}

const titles: Readonly<Record<number, string>> = {
  400: 'The request cannot be answered as it is',
  404: 'There is no such thing',
  405: 'The method is not allowed',
  410: 'What follows this cursor is gone',
  500: 'The answer could not be made',
  503: 'The answer cannot be made now',
}

const statusOf: Readonly<Record<string, number>> = {
  REQUEST_INVALID: 400,
  CURSOR_INVALID: 400,
  CURSOR_AHEAD: 400,
  CURSOR_EXPIRED: 410,
  STREAM_RECREATED: 410,
  NOT_FOUND: 404,
  BUSY: 503,
  CLOSED: 503,
  UNAVAILABLE: 503,
  SNAPSHOT_INCOMPLETE: 503,
}

/** The problem document for an error; what went wrong inside is not told to clients. */
export function problemOf(error: unknown): ProblemDocument {
  const code = isMillraceError(error) || isPollAdapterError(error) ? error.code : 'INTERNAL'
  const status = statusOf[code] ?? 500
  return {
    type: `urn:millrace:problem:${code.toLowerCase().replaceAll('_', '-')}`,
    title: titles[status] ?? 'Error',
    status,
    detail: status === 500 ? 'The server met an error' : messageOf(error),
    code,
    ...(error instanceof PollAdapterError && error.issues.length > 0
      ? { issues: error.issues }
      : {}),
  }
}

/** An answer that says what is wrong, in the form of RFC 9457. */
export function problemResponse(
  error: unknown,
  headers: Readonly<Record<string, string>> = {},
): PlainResponse {
  return documentResponse(problemOf(error), headers)
}

/** For methods that an endpoint does not have. */
export function methodNotAllowed(allow: string): PlainResponse {
  return documentResponse(
    {
      type: 'urn:millrace:problem:method-not-allowed',
      title: titles[405] ?? '',
      status: 405,
      detail: `Only ${allow}`,
      code: 'METHOD_NOT_ALLOWED',
    },
    { allow },
  )
}

function documentResponse(
  problem: ProblemDocument,
  headers: Readonly<Record<string, string>>,
): PlainResponse {
  const { status } = problem
  const body = JSON.stringify(problem)
  return {
    status,
    headers: {
      ...headers,
      'content-type': 'application/problem+json',
      'cache-control': 'no-store',
      'content-length': String(Buffer.byteLength(body)),
      ...(status === 503 ? { 'retry-after': String(RETRY_AFTER_S) } : {}),
    },
    body,
  }
}
