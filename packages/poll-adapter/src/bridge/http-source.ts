import type { Cursor } from '../change/cursor.ts'
import {
  type BorderSource,
  defineSource,
  type ExactSource,
  type OverlapSource,
  type Page,
  type SnapshotSource,
  type Source,
} from '../change/source.ts'
import { PollAdapterError } from '../errors.ts'

interface HttpBasics<Item> {
  readonly url: URL | string
  /** Further headers of each request, for example authorization; a function is asked each time. */
  readonly headers?:
    | Readonly<Record<string, string>>
    | (() => Promise<Readonly<Record<string, string>>> | Readonly<Record<string, string>>)
  /**
   * Finds items, cursor and whether there is more in the answer.
   * @defaultValue an array, or `items`, `data` or `results`; `cursor`, `next_cursor`, `nextCursor` or
   * `last_seq`; `hasMore` or `has_more`
   */
  readonly read?: (body: unknown, response: Response) => Page<Item>
}

export type HttpSourceOptions<Item> = HttpBasics<Item> & {
  /** The query parameter of the cursor. @defaultValue 'since' */
  readonly cursorParameter?: string
  /** The query parameter of the limit. @defaultValue 'limit' */
  readonly limitParameter?: string
} & (
    | Omit<BorderSource<Item>, 'fetch'>
    | Omit<ExactSource<Item>, 'fetch'>
    | Omit<OverlapSource<Item>, 'fetch'>
  )

/**
 * An HTTP endpoint that answers what is after a cursor.
 * @throws PollAdapterError `OPTIONS_INVALID`
 */
export function httpSource<Item>(options: HttpSourceOptions<Item>): Source<Item> {
  const { url, headers, read = readPage<Item>, ...rest } = options
  const { cursorParameter = 'since', limitParameter = 'limit', ...source } = rest
  return defineSource<Item>({
    ...source,
    fetch: async (cursor, { signal, limit }) => {
      const address = new URL(url)
      if (cursor !== undefined) address.searchParams.set(cursorParameter, String(cursor))
      address.searchParams.set(limitParameter, String(limit))
      const response = await get(address, await headersOf(headers), signal)
      return read(await response.json(), response)
    },
  })
}

export type HttpSnapshotOptions<Item> = HttpBasics<Item> &
  Omit<SnapshotSource<Item>, 'cursors' | 'fetch'>

/**
 * An HTTP endpoint that answers everything there is, if possible with an entity tag, so that `304 Not
 * Modified` saves the rest. What changed is found by comparing contents, what is gone by its absence.
 * @throws PollAdapterError `OPTIONS_INVALID`
 */
export function httpSnapshotSource<Item>(options: HttpSnapshotOptions<Item>): Source<Item> {
  const { url, headers, read = readPage<Item>, ...source } = options
  return defineSource<Item>({
    ...source,
    cursors: 'snapshot',
    fetch: async (tag, { signal }) => {
      const condition = tag === undefined ? {} : { 'if-none-match': String(tag) }
      const response = await get(
        new URL(url),
        { ...(await headersOf(headers)), ...condition },
        signal,
      )
      if (response.status === 304) {
        await response.body?.cancel()
        return { items: [], cursor: tag, notModified: true }
      }
      const { items } = read(await response.json(), response)
      return { items, cursor: response.headers.get('etag') ?? undefined }
    },
  })
}

async function get(
  url: URL,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<Response> {
  const response = await fetch(url, { headers: { accept: 'application/json', ...headers }, signal })
  if (response.ok || response.status === 304) return response
  await response.body?.cancel()
  throw new PollAdapterError(
    'SOURCE_FAILED',
    `${url.origin}${url.pathname} answered ${response.status}`,
  )
}

async function headersOf(
  headers: HttpBasics<never>['headers'],
): Promise<Readonly<Record<string, string>>> {
  return typeof headers === 'function' ? await headers() : (headers ?? {})
}

/** The usual envelopes. */
function readPage<Item>(body: unknown): Page<Item> {
  if (Array.isArray(body)) return { items: body as Item[] }
  const envelope = typeof body === 'object' && body !== null ? { ...body } : {}
  const find = (...names: readonly string[]): unknown => {
    const name = names.find((known) => Object.hasOwn(envelope, known))
    return name === undefined ? undefined : Reflect.get(envelope, name)
  }
  const items = find('items', 'data', 'results')
  if (!Array.isArray(items)) {
    throw new PollAdapterError('SOURCE_FAILED', 'The answer has no array items, data or results')
  }
  const cursor = find('cursor', 'next_cursor', 'nextCursor', 'last_seq')
  const hasMore = find('hasMore', 'has_more')
  return {
    items: items as Item[],
    cursor:
      typeof cursor === 'string' || typeof cursor === 'number'
        ? (cursor satisfies Cursor)
        : undefined,
    hasMore: typeof hasMore === 'boolean' ? hasMore : undefined,
  }
}
