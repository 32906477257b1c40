import type { CursorFeed, FeedPage } from '../feed/feed.ts'
import { callable, optionProblems, text, throwProblems } from '../lifecycle/options.ts'
import { type HttpHandler, httpHandler } from './answer.ts'
import { conditionalResponse, type Representation, representationOf } from './conditional.ts'
import { linkTo } from './link.ts'
import { Parameters } from './parameters.ts'
import { methodNotAllowed, problemResponse } from './problem.ts'
import { readWait } from './wait.ts'

export interface FeedHandlerOptions<Item> {
  /** What the endpoint's parameters are called. @defaultValue since, limit, wait */
  readonly parameters?: {
    readonly since?: string
    readonly limit?: string
    readonly wait?: string
  }
  /** What the numbers of the wait parameter count. @defaultValue 's' */
  readonly waitUnit?: 'ms' | 's'
  /**
   * The longest wait in milliseconds; longer ones are lowered to it, and `Preference-Applied` says so.
   * @defaultValue 55_000
   */
  readonly maxWaitMs?: number
  /** How long a poll waits that does not say, in milliseconds. @defaultValue 0 */
  readonly defaultWaitMs?: number
  /** The body of the answer. @defaultValue `{ items, cursor, hasMore }` */
  readonly envelope?: (page: FeedPage<Item>) => unknown
  /** Headers of the answer beside the usual ones, for example `X-Next-Cursor`. */
  readonly headers?: (page: FeedPage<Item>) => Readonly<Record<string, string>>
  /** How long a client should pause between polls, in seconds, as `X-Poll-Interval`. @defaultValue none */
  readonly pollIntervalS?: number
  /**
   * The URL that clients know the endpoint by, for `Link`, where a proxy changes it.
   * @defaultValue the URL of the request
   */
  readonly publicUrl?: string
}

/** For how many different URLs the headers of one page are kept. */
const MOST_URLS = 16

const defaults = Object.freeze({
  parameters: Object.freeze({ since: 'since', limit: 'limit', wait: 'wait' }),
  waitUnit: 's' as const,
  maxWaitMs: 55_000,
  defaultWaitMs: 0,
})

/**
 * Answers GET and HEAD from a feed. A caught-up client gets 200 with no items, or 304 when it sends the
 * ETag of the last answer; nonsense gets 400, and a cursor that would hide a loss 410, with a problem document.
 * @throws PollAdapterError `OPTIONS_INVALID`
 */
export function feedHandler<Data, Item>(
  feed: CursorFeed<Data, Item>,
  options: FeedHandlerOptions<Item> = {},
): HttpHandler {
  assertOptions(options)
  const names = { ...defaults.parameters, ...options.parameters }
  const wait = { name: names.wait, unit: options.waitUnit ?? defaults.waitUnit }
  const maxWaitMs = options.maxWaitMs ?? defaults.maxWaitMs
  const defaultWaitMs = options.defaultWaitMs ?? defaults.defaultWaitMs
  const envelope = options.envelope ?? ((page: FeedPage<Item>): unknown => page)
  const bodies = new WeakMap<FeedPage<Item>, Representation>()
  const headers = new WeakMap<FeedPage<Item>, Map<string, Readonly<Record<string, string>>>>()
  const represent = (page: FeedPage<Item>): Representation => {
    let known = bodies.get(page)
    if (known === undefined) bodies.set(page, (known = representationOf(envelope(page))))
    return known
  }
  const headersFor = (
    page: FeedPage<Item>,
    url: URL,
    applied: string | undefined,
  ): Readonly<Record<string, string>> => {
    // Pollers that wait at one place ask for the same, so they get the same.
    let known = headers.get(page)
    if (known === undefined) headers.set(page, (known = new Map()))
    const key = `${applied} ${url.href}`
    let made = known.get(key)
    if (made === undefined) {
      made = {
        ...inLowerCase(options.headers?.(page) ?? {}),
        link: linkTo(url, options.publicUrl, { [names.since]: page.cursor }, 'next'),
        ...(applied === undefined ? {} : { 'preference-applied': applied }),
        ...(options.pollIntervalS === undefined
          ? {}
          : { 'x-poll-interval': String(options.pollIntervalS) }),
      }
      if (known.size < MOST_URLS) known.set(key, made)
    }
    return made
  }
  return httpHandler(async (request) => {
    const { method, url, signal } = request
    if (method !== 'GET' && method !== 'HEAD') return methodNotAllowed('GET, HEAD')
    try {
      const parameters = new Parameters(url.searchParams)
      const since = parameters.text(names.since)
      const limit = parameters.wholeNumber(names.limit, 1)
      const prefer = request.header('prefer')
      const { waitMs, applied } = readWait(parameters, prefer, wait, maxWaitMs)
      parameters.throwProblems()
      const page = await feed.poll({
        ...(since === undefined ? {} : { since }),
        ...(limit === undefined ? {} : { limit }),
        waitMs: method === 'HEAD' ? 0 : (waitMs ?? defaultWaitMs),
        signal,
      })
      return conditionalResponse(request, represent(page), headersFor(page, url, applied))
    } catch (error) {
      const anew = linkTo(url, options.publicUrl, { [names.since]: null }, 'first')
      return problemResponse(error, { link: anew })
    }
  })
}

function inLowerCase(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
  )
}

function assertOptions<Item>(options: FeedHandlerOptions<Item>): void {
  const least =
    (bound: number) =>
    (v: unknown): true | string =>
      (typeof v === 'number' && v >= bound) || `must be a number of at least ${bound}`
  throwProblems('feedHandler', [
    ...optionProblems(options, {
      parameters: (v) => typeof v === 'object' || 'must be an object',
      waitUnit: (v) => v === 's' || v === 'ms' || 'must be one of s, ms',
      maxWaitMs: least(0),
      defaultWaitMs: least(0),
      envelope: callable,
      headers: callable,
      pollIntervalS: least(0),
      publicUrl: (v) => URL.canParse(String(v)) || 'must be a URL',
    }),
    ...optionProblems(
      options.parameters ?? {},
      { since: text, limit: text, wait: text },
      'parameters.',
    ),
  ])
}
