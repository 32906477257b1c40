import type { StandardSchemaV1 } from '@standard-schema/spec'
import { MillraceError } from '../errors.ts'

/**
 * Checks a value against a Standard Schema. Answers at once where the schema does, and with a promise
 * only where it has to: an extra microtask for each event costs more than most validations.
 * @throws MillraceError `PAYLOAD_INVALID`, listing all problems
 */
export function validate<Output>(
  schema: StandardSchemaV1<unknown, Output>,
  value: unknown,
  stream: string,
): Output | Promise<Output> {
  const result = schema['~standard'].validate(value)
  return result instanceof Promise
    ? result.then((settled) => outputOf(settled, stream))
    : outputOf(result, stream)
}

function outputOf<Output>(result: StandardSchemaV1.Result<Output>, stream: string): Output {
  if (result.issues === undefined) return result.value
  const issues = result.issues.map(describeIssue)
  throw new MillraceError(
    'PAYLOAD_INVALID',
    `A payload of ${stream} does not satisfy its schema: ${issues.join('; ')}`,
    { issues, stream },
  )
}

function describeIssue(issue: StandardSchemaV1.Issue): string {
  const path = (issue.path ?? []).map((part) => String(typeof part === 'object' ? part.key : part))
  return path.length === 0 ? issue.message : `${path.join('.')}: ${issue.message}`
}
