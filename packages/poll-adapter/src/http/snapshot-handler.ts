import { PollAdapterError } from '../errors.ts'
import { boolean, callable, optionProblems, text, throwProblems } from '../lifecycle/options.ts'
import type { Snapshot, SnapshotEntry, SnapshotList } from '../snapshot/snapshot.ts'
import { type HttpHandler, httpHandler, type PlainRequest } from './answer.ts'
import { forClient, fullResponse, type Representation, representationOf } from './conditional.ts'
import { matchesEtag } from './etag.ts'
import { linkTo } from './link.ts'
import { Parameters } from './parameters.ts'
import { methodNotAllowed, problemResponse } from './problem.ts'
import { readWait } from './wait.ts'

export interface SnapshotHandlerOptions<Value> {
  /** Where it is mounted: the path of the list; a key follows behind a slash. @defaultValue '/' */
  readonly path?: string
  /** What the endpoint's parameters are called. @defaultValue after, limit, prefix, wait */
  readonly parameters?: {
    readonly after?: string
    readonly limit?: string
    readonly prefix?: string
    readonly wait?: string
  }
  /** What the numbers of the wait parameter count. @defaultValue 's' */
  readonly waitUnit?: 'ms' | 's'
  /** The longest wait in milliseconds; longer ones are lowered to it. @defaultValue 55_000 */
  readonly maxWaitMs?: number
  /** The body for one key. @defaultValue its value */
  readonly entry?: (entry: SnapshotEntry<Value>) => unknown
  /** The body of a list. @defaultValue `{ items: [{ key, value }], next }` */
  readonly envelope?: (list: SnapshotList<Value>) => unknown
  /** Whether `GET` without a key lists; otherwise that is 404. @defaultValue true */
  readonly lists?: boolean
  /** The URL that clients know the endpoint by, for `Link`. @defaultValue the URL of the request */
  readonly publicUrl?: string
}

const defaults = Object.freeze({
  path: '/',
  parameters: Object.freeze({ after: 'after', limit: 'limit', prefix: 'prefix', wait: 'wait' }),
  waitUnit: 's' as const,
  maxWaitMs: 55_000,
  lists: true,
})

/** What a look at the snapshot found: something to answer with, or no such key. */
interface Look {
  readonly representation: Representation | undefined
  /** Of the whole snapshot, or of the key; a change of it is a reason to look again. */
  readonly etag: string | undefined
  readonly next: string | null
}

/**
 * Answers GET and HEAD for one key or a list. A client that sends the ETag it has gets 304, or waits for
 * another one when it asks to.
 * @throws PollAdapterError `OPTIONS_INVALID`
 */
export function snapshotHandler<Data, Value>(
  snapshot: Snapshot<Data, Value>,
  options: SnapshotHandlerOptions<Value> = {},
): HttpHandler {
  assertOptions(options)
  const names = { ...defaults.parameters, ...options.parameters }
  const wait = { name: names.wait, unit: options.waitUnit ?? defaults.waitUnit }
  const maxWaitMs = options.maxWaitMs ?? defaults.maxWaitMs
  const path = (options.path ?? defaults.path).replace(/\/$/, '')
  const entryBody = options.entry ?? (({ value }: SnapshotEntry<Value>): unknown => value)
  const listBody = options.envelope ?? plainList
  const lists = options.lists ?? defaults.lists

  const lookAtKey = async (key: string, signal: AbortSignal): Promise<Look> => {
    const entry = await snapshot.get(key, { signal })
    const representation = entry && representationOf(entryBody(entry))
    return { representation, etag: entry?.etag, next: null }
  }
  const lookAtList = async (parameters: Parameters, signal: AbortSignal): Promise<Look> => {
    const after = parameters.text(names.after)
    const prefix = parameters.text(names.prefix)
    const limit = parameters.wholeNumber(names.limit, 1)
    parameters.throwProblems()
    const list = await snapshot.list({
      signal,
      ...(after === undefined ? {} : { after }),
      ...(prefix === undefined ? {} : { prefix }),
      ...(limit === undefined ? {} : { limit }),
    })
    return { representation: representationOf(listBody(list)), etag: list.etag, next: list.next }
  }

  return httpHandler(async (request) => {
    const { method, href, signal } = request
    if (method !== 'GET' && method !== 'HEAD') return methodNotAllowed('GET, HEAD')
    try {
      const url = new URL(href)
      const key = keyIn(url.pathname, path)
      if (key === undefined || (key === '' && !lists)) throw notFound(url.pathname)
      const parameters = new Parameters(url.searchParams)
      const { waitMs = 0, applied } = readWait(
        parameters,
        request.header('prefer'),
        wait,
        maxWaitMs,
      )
      parameters.throwProblems()
      const look = (): Promise<Look> =>
        key === '' ? lookAtList(new Parameters(url.searchParams), signal) : lookAtKey(key, signal)
      const untilMs = performance.now() + (method === 'HEAD' ? 0 : waitMs)
      let seen = await look()
      while (seen.representation !== undefined && hasIt(request, seen.representation)) {
        const leftMs = untilMs - performance.now()
        if (leftMs <= 0) break
        const { changed } = await snapshot.waitForChange({
          etag: seen.etag,
          waitMs: leftMs,
          signal,
          ...(key === '' ? {} : { key }),
        })
        // The time is up, or the snapshot closes: what the client has is what there is.
        if (!changed) break
        seen = await look()
      }
      if (seen.representation === undefined) throw notFound(key)
      const { next } = seen
      const full = fullResponse(seen.representation, {
        ...(applied === undefined ? {} : { 'preference-applied': applied }),
        ...(snapshot.complete === false ? { 'x-snapshot-complete': 'false' } : {}),
        ...(next === null
          ? {}
          : { link: linkTo(url, options.publicUrl, { [names.after]: next }, 'next') }),
      })
      return forClient(request, full)
    } catch (error) {
      return problemResponse(error)
    }
  })
}

function plainList<Value>({ entries, next }: SnapshotList<Value>): unknown {
  return { items: entries.map(({ key, value }) => ({ key, value })), next }
}

/** '' for the list; undefined where the path is not below the one that the handler is mounted at. */
function keyIn(pathname: string, path: string): string | undefined {
  if (pathname === path || pathname === `${path}/`) return ''
  if (!pathname.startsWith(`${path}/`)) return undefined
  try {
    return decodeURIComponent(pathname.slice(path.length + 1))
  } catch {
    throw new PollAdapterError('REQUEST_INVALID', 'The key in the path is not well encoded')
  }
}

function hasIt(request: PlainRequest, { etag }: Representation): boolean {
  return matchesEtag(request.header('if-none-match'), etag)
}

function notFound(what: string): PollAdapterError {
  return new PollAdapterError('NOT_FOUND', `There is no ${what}`)
}

function assertOptions<Value>(options: SnapshotHandlerOptions<Value>): void {
  throwProblems('snapshotHandler', [
    ...optionProblems(options, {
      path: (v) => (typeof v === 'string' && v.startsWith('/')) || 'must begin with a slash',
      parameters: (v) => typeof v === 'object' || 'must be an object',
      waitUnit: (v) => v === 's' || v === 'ms' || 'must be one of s, ms',
      maxWaitMs: (v) => (typeof v === 'number' && v >= 0) || 'must be a number of at least 0',
      entry: callable,
      envelope: callable,
      lists: boolean,
      publicUrl: (v) => URL.canParse(String(v)) || 'must be a URL',
    }),
    ...optionProblems(
      options.parameters ?? {},
      { after: text, limit: text, prefix: text, wait: text },
      'parameters.',
    ),
  ])
}
