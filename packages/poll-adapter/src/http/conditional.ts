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
  request: Request,
  { body, etag }: Representation,
  headers: Headers,
): Response {
  headers.set('etag', etag)
  // Caches may keep it, but have to ask each time.
  if (!headers.has('cache-control')) headers.set('cache-control', 'no-cache')
  headers.append('vary', 'Prefer')
  if (matchesEtag(request.headers.get('if-none-match'), etag)) {
    return new Response(null, { status: 304, headers })
  }
  headers.set('content-type', 'application/json')
  return new Response(request.method === 'HEAD' ? null : body, { status: 200, headers })
}
