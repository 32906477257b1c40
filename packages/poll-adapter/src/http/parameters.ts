import { PollAdapterError } from '../errors.ts'

/** Reads the query of one request, gathering everything that is wrong with it. */
export class Parameters {
  readonly #query: URLSearchParams
  readonly #issues: string[] = []

  constructor(query: URLSearchParams) {
    this.#query = query
  }

  /** Undefined when the parameter is absent. */
  text(name: string): string | undefined {
    const values = this.#query.getAll(name)
    if (values.length > 1) this.#issues.push(`${name} is given ${values.length} times`)
    return values[0]
  }

  /** A number without sign, exponent or anything else that `Number` would forgive. */
  number(name: string, least: number): number | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    const value = Number(text)
    if (/^\d{1,9}(\.\d{1,6})?$/.test(text) && value >= least) return value
    this.#issues.push(`${name} must be a number of at least ${least}`)
    return undefined
  }

  wholeNumber(name: string, least: number): number | undefined {
    const value = this.number(name, least)
    if (value === undefined || Number.isInteger(value)) return value
    this.#issues.push(`${name} must be a whole number`)
    return undefined
  }

  /** @throws PollAdapterError `REQUEST_INVALID`, listing all problems */
  throwProblems(): void {
    if (this.#issues.length === 0) return
    throw new PollAdapterError('REQUEST_INVALID', this.#issues.join('; '), { issues: this.#issues })
  }
}
