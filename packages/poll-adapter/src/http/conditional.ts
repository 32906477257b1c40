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

/** The answer with a body; nothing of it depends on who asks, so all who ask the same may share it. */
export function fullResponse(
  { body, etag }: Representation,
  headers: Readonly<Record<string, string>>,
): PlainResponse {
  return {
    status: 200,
    headers: {
      // Caches may keep it, but have to ask each time.
      'cache-control': 'no-cache',
      ...headers,
      etag,
      vary: 'Prefer',
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(body)),
    },
    body,
  }
}

/** The same without the body: 304 where the client has it already, and for HEAD. */
export function forClient(request: PlainRequest, full: PlainResponse): PlainResponse {
  const isKnown = matchesEtag(request.header('if-none-match'), full.headers['etag'] ?? '')
  if (!isKnown) return request.method === 'HEAD' ? { ...full, body: undefined } : full
  const { 'content-type': _, 'content-length': __, ...headers } = full.headers
  return { status: 304, headers, body: undefined }
}
