import { isMillraceError, messageOf, MillraceError } from '../errors.ts'
import type { EventStream } from '../stream/define-stream.ts'
import { validate } from '../stream/validation.ts'
import { encode, type Extras, type OutgoingEvent } from './encode.ts'
import type { PublishCall } from './publish-call.ts'

/** How many problems the message of the error names; `issues` has all. */
const PROBLEMS_IN_MESSAGE = 3

export interface Checked {
  readonly events: readonly OutgoingEvent[]
  /** Set when the schema answers later; rejects when an input is bad. */
  readonly verdict: Promise<void> | undefined
}

/**
 * Validates and encodes all inputs of one call, so that nothing is sent when one of them is bad.
 * @throws MillraceError with the code of the first problem and an issue for each, led by its index
 */
export function checkAll<Input>(
  stream: EventStream<Input, unknown>,
  inputs: readonly Input[],
  extras: Extras | undefined,
  idempotencyKeys: readonly string[] | undefined,
  call: PublishCall,
): Checked {
  const events: OutgoingEvent[] = []
  const problems = new Map<number, unknown>()
  const later: Promise<unknown>[] = []
  for (const [i, input] of inputs.entries()) {
    try {
      const verdict =
        stream.schema === undefined ? undefined : validate(stream.schema, input, stream.name)
      if (verdict instanceof Promise)
        later.push(verdict.catch((error: unknown) => problems.set(i, error)))
      events.push(encode(stream, input, extras, call, i, idempotencyKeys?.[i]))
    } catch (error) {
      problems.set(i, error)
    }
  }
  if (later.length === 0) {
    throwAny(problems, stream.name)
    return { events, verdict: undefined }
  }
  // Encoding has failed already, or a schema may still refuse: the call fails with all of it at once.
  const verdict = Promise.all(later).then(() => {
    throwAny(problems, stream.name)
  })
  return { events, verdict }
}

function throwAny(problems: ReadonlyMap<number, unknown>, stream: string): void {
  if (problems.size === 0) return
  const inOrder = [...problems].toSorted(([a], [b]) => a - b)
  const issues = inOrder.flatMap(([i, error]) =>
    isMillraceError(error) && error.issues.length > 0
      ? error.issues.map((issue) => `[${i}] ${issue}`)
      : [`[${i}] ${messageOf(error)}`],
  )
  const more = issues.length - PROBLEMS_IN_MESSAGE
  const first = inOrder[0]?.[1]
  throw new MillraceError(
    isMillraceError(first) ? first.code : 'PAYLOAD_INVALID',
    `${problems.size} of the payloads of ${stream} are refused: ` +
      issues.slice(0, PROBLEMS_IN_MESSAGE).join('; ') +
      (more > 0 ? `; and ${more} more` : ''),
    { issues, stream, cause: first },
  )
}
