import type { CursorFeed, FeedPage } from '../feed/feed.ts'
import { callable, optionProblems, text, throwProblems } from '../lifecycle/options.ts'
import { type HttpHandler, httpHandler, type PlainResponse } from './answer.ts'
import { forClient, fullResponse, type Representation, representationOf } from './conditional.ts'
import { type FeedQuestion, FeedQuestions } from './feed-question.ts'
import { linkTo } from './link.ts'
import { methodNotAllowed, problemResponse } from './problem.ts'

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

/** To how many different questions the answers from one page are kept. */
const MOST_ANSWERS = 16

interface PageAnswers {
  readonly representation: Representation
  readonly byQuestion: Map<FeedQuestion, PlainResponse>
}

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
  const defaultWaitMs = options.defaultWaitMs ?? defaults.defaultWaitMs
  const envelope = options.envelope ?? ((page: FeedPage<Item>): unknown => page)
  const questions = new FeedQuestions({
    since: names.since,
    limit: names.limit,
    wait: { name: names.wait, unit: options.waitUnit ?? defaults.waitUnit },
    maxWaitMs: options.maxWaitMs ?? defaults.maxWaitMs,
  })
  const answers = new WeakMap<FeedPage<Item>, PageAnswers>()
  const headersOf = (
    page: FeedPage<Item>,
    { url, applied }: FeedQuestion,
  ): Readonly<Record<string, string>> => ({
    ...inLowerCase(options.headers?.(page) ?? {}),
    link: linkTo(url, options.publicUrl, { [names.since]: page.cursor }, 'next'),
    ...(applied === undefined ? {} : { 'preference-applied': applied }),
    ...(options.pollIntervalS === undefined
      ? {}
      : { 'x-poll-interval': String(options.pollIntervalS) }),
  })
  /** Pollers that wait at one place ask for the same, so they get the same, which is made once. */
  const answerWith = (page: FeedPage<Item>, question: FeedQuestion): PlainResponse => {
    let known = answers.get(page)
    if (known === undefined) {
      known = { representation: representationOf(envelope(page)), byQuestion: new Map() }
      answers.set(page, known)
    }
    const { representation, byQuestion } = known
    let answer = byQuestion.get(question)
    if (answer === undefined) {
      answer = fullResponse(representation, headersOf(page, question))
      if (byQuestion.size < MOST_ANSWERS) byQuestion.set(question, answer)
    }
    return answer
  }
  return httpHandler(async (request) => {
    const { method, href, signal } = request
    if (method !== 'GET' && method !== 'HEAD') return methodNotAllowed('GET, HEAD')
    try {
      const question = questions.read(href, request.header('prefer'))
      const { since, limit, waitMs = defaultWaitMs } = question
      const page = await feed.poll({
        ...(since === undefined ? {} : { since }),
        ...(limit === undefined ? {} : { limit }),
        waitMs: method === 'HEAD' ? 0 : waitMs,
        signal,
      })
      return forClient(request, answerWith(page, question))
    } catch (error) {
      const url = new URL(href)
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
