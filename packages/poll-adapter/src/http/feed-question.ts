import { Parameters } from './parameters.ts'
import { readWait, type WaitParameter } from './wait.ts'

/** What a request asks of a feed, as its URL and its preferences say. */
export interface FeedQuestion {
  readonly url: URL
  readonly since: string | undefined
  readonly limit: number | undefined
  /** Undefined when the client asked for none. */
  readonly waitMs: number | undefined
  /** For `Preference-Applied`. */
  readonly applied: string | undefined
}

export interface QuestionForm {
  readonly since: string
  readonly limit: string
  readonly wait: WaitParameter
  readonly maxWaitMs: number
}

/** So many questions, of at most this length, are kept as they were understood. */
const MOST_QUESTIONS = 256
const LONGEST_QUESTION = 512

/** Understands questions; pollers that wait at one place ask the same, which is understood once. */
export class FeedQuestions {
  readonly #form: QuestionForm
  readonly #known = new Map<string, FeedQuestion>()

  constructor(form: QuestionForm) {
    this.#form = form
  }

  /**
   * Equal questions are the same object, as long as there are not too many.
   * @throws PollAdapterError `REQUEST_INVALID`, listing all problems
   */
  read(href: string, prefer: string | null): FeedQuestion {
    const key = prefer === null ? href : `${prefer}\n${href}`
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const question = readQuestion(this.#form, href, prefer)
    if (this.#known.size >= MOST_QUESTIONS) this.#known.clear()
    if (key.length <= LONGEST_QUESTION) this.#known.set(key, question)
    return question
  }
}

function readQuestion(form: QuestionForm, href: string, prefer: string | null): FeedQuestion {
  const url = new URL(href)
  const parameters = new Parameters(url.searchParams)
  const since = parameters.text(form.since)
  const limit = parameters.wholeNumber(form.limit, 1)
  const { waitMs, applied } = readWait(parameters, prefer, form.wait, form.maxWaitMs)
  parameters.throwProblems()
  return { url, since, limit, waitMs, applied }
}
