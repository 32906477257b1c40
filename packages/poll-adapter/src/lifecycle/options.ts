import { PollAdapterError } from '../errors.ts'

// The runtime has checks like these for itself, with errors of its own. They are no API that another package could
// rely on, and making them one would bind more than these few lines do; the same goes for signals.ts and clock.ts.

/** Answers true when the value is fine, and otherwise what it must be. Never asked about `undefined`. */
export type OptionCheck = (value: unknown) => boolean | string

/** All problems of an option object, so that a user mends everything at once. */
export function optionProblems(
  options: unknown,
  checks: Readonly<Record<string, OptionCheck>>,
  prefix = '',
): string[] {
  if (options === null || typeof options !== 'object') return [`${prefix}options must be an object`]
  const problems: string[] = []
  for (const [name, value] of Object.entries(options)) {
    const check = Object.hasOwn(checks, name) ? checks[name] : undefined
    if (check === undefined) {
      problems.push(`${prefix}${name} is not an option (known: ${Object.keys(checks).join(', ')})`)
    } else if (value !== undefined) {
      const verdict = check(value)
      if (verdict !== true) problems.push(`${prefix}${name} ${String(verdict)}`)
    }
  }
  return problems
}

/** Throws one `OPTIONS_INVALID` that lists all problems, or does nothing when there are none. */
export function throwProblems(subject: string, problems: readonly string[]): void {
  if (problems.length === 0) return
  throw new PollAdapterError('OPTIONS_INVALID', `${subject}: ${problems.join('; ')}`, {
    issues: problems,
  })
}

/** A whole number within bounds. */
export function wholeNumber(least: number, most: number, unit = ''): OptionCheck {
  return (value) =>
    (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) ||
    `must be a whole number from ${least} to ${most}${unit === '' ? '' : ` ${unit}`}`
}

/** One of a few words. */
export function oneOf(...words: readonly string[]): OptionCheck {
  return (value) =>
    (typeof value === 'string' && words.includes(value)) || `must be one of ${words.join(', ')}`
}

/** A text that is not empty. */
export const text: OptionCheck = (value) =>
  (typeof value === 'string' && value !== '') || 'must be a text that is not empty'

/** A function. */
export const callable: OptionCheck = (value) => typeof value === 'function' || 'must be a function'

/** An object; what is in it is checked where it is used. */
export const anObject: OptionCheck = (value) =>
  (typeof value === 'object' && value !== null) || 'must be an object'

/** An AbortSignal. */
export const abortSignal: OptionCheck = (value) =>
  value instanceof AbortSignal || 'must be an AbortSignal'

/** true or false. */
export const boolean: OptionCheck = (value) => typeof value === 'boolean' || 'must be true or false'
