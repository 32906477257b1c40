import { FIRST_ID, isStreamId, previousId } from './stream-id.ts'

/**
 * Where reading begins. `latest` and a time are resolved to a concrete id once, when the position is
 * created; they never move again.
 */
export type StartPosition =
  /** Before the oldest event that the stream still has. */
  | 'earliest'
  /** After the newest event that the stream has at that moment. */
  | 'latest'
  /** After this id. */
  | { readonly id: string }
  /** At the first event that Redis stored at or after this time, in milliseconds since 1970. */
  | { readonly timeMs: number }

/** A position as scripts take it: an id, or `latest` for them to resolve. */
export function startArgument(start: StartPosition): string {
  if (start === 'earliest') return FIRST_ID
  if (start === 'latest') return 'latest'
  return 'id' in start ? start.id : previousId(`${start.timeMs}-0`)
}

/** For option checks. */
export function isStartPosition(value: unknown): boolean | string {
  if (value === 'earliest' || value === 'latest') return true
  if (typeof value === 'object' && value !== null) {
    const keys = Object.keys(value)
    if (keys.length === 1 && keys[0] === 'id') {
      const id: unknown = Reflect.get(value, 'id')
      if (typeof id === 'string' && isStreamId(id)) return true
    }
    if (keys.length === 1 && keys[0] === 'timeMs') {
      const timeMs: unknown = Reflect.get(value, 'timeMs')
      if (Number.isSafeInteger(timeMs) && (timeMs as number) >= 0) return true
    }
  }
  return "must be 'earliest', 'latest', { id } or { timeMs }"
}
