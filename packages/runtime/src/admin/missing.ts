import { MillraceError } from '../errors.ts'

/** There is no such consumer or consumer group, or no stream. */
export function absent(name: string | undefined, stream: string): MillraceError {
  return name === undefined
    ? new MillraceError('STATE_INVALID', `There is no event stream ${stream}`, { stream })
    : new MillraceError(
        'STATE_INVALID',
        `Event stream ${stream} has no consumer and no consumer group ${name}`,
        { stream, name },
      )
}
