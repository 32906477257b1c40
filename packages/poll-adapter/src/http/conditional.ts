import type { PlainRequest, PlainResponse } from './answer.ts'
import { etagOf, matchesEtag } from './etag.ts'

/** A JSON body and its ETag, made once for all who get it. */
export interface Representation {
  readonly body: string
  readonly etag: string
}

export function representationOf(value: unknown): Representation {
  const body = JSON.stringify(value)
  return { body, etag: etagOf(body) }
}

/** 304 where the client has it already, 200 otherwise; without the body for HEAD. */
export function conditionalResponse(
  request: PlainRequest,
  { body, etag }: Representation,
  headers: Readonly<Record<string, string>>,
): PlainResponse {
  // Caches may keep it, but have to ask each time.
  const all = { 'cache-control': 'no-cache', ...headers, etag, vary: 'Prefer' }
  if (matchesEtag(request.header('if-none-match'), etag)) {
    return { status: 304, headers: all, body: undefined }
  }
  return {
    status: 200,
    headers: { ...all, 'content-type': 'application/json' },
    body: request.method === 'HEAD' ? undefined : body,
  }
}
