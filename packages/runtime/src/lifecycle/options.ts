import { MillraceError } from '../errors.ts'

/** Answers true when the value is fine, and otherwise what it must be. Never asked about `undefined`. */
export type OptionCheck = (value: unknown) => boolean | string

/**
 * All problems of an option object: unknown names and values out of range. The caller gathers them and
 * throws one error, so that a user mends everything at once.
 */
export function optionProblems(
  options: object,
  checks: Readonly<Record<string, OptionCheck>>,
  prefix = '',
): string[] {
  const problems: string[] = []
  if (options === null || typeof options !== 'object') return [`${prefix}options must be an object`]
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
  throw new MillraceError('OPTIONS_INVALID', `${subject}: ${problems.join('; ')}`, {
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

/** An AbortSignal. */
export const abortSignal: OptionCheck = (value) =>
  value instanceof AbortSignal || 'must be an AbortSignal'

/** true or false. */
export const boolean: OptionCheck = (value) => typeof value === 'boolean' || 'must be true or false'
