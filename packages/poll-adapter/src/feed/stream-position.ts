import { isStreamId } from '@millrace/runtime'

/** A place in an event stream: right after the event of this id. */
export interface StreamPosition {
  /** Of which life of the stream; '' when that is not known. */
  readonly incarnation: string
  readonly id: string
}

/** Before every event. */
export const BEFORE_ALL = '0-0'

const GREATEST_SEQUENCE = '18446744073709551615'

/** As the runtime writes cursors: `<incarnation>.<id>`. Undefined when the text is no such thing. */
export function parsePosition(text: string): StreamPosition | undefined {
  const dot = text.lastIndexOf('.')
  const id = text.slice(dot + 1)
  const incarnation = text.slice(0, Math.max(dot, 0))
  if (dot < 0 || !isStreamId(id) || !/^\w*$/.test(incarnation)) return undefined
  return { incarnation, id }
}

export function formatPosition({ incarnation, id }: StreamPosition): string {
  return `${incarnation}.${id}`
}

/** The greatest id that an event stored in this millisecond can have. */
export function lastIdOfMs(timeMs: number): string {
  return `${timeMs}-${GREATEST_SEQUENCE}`
}

/** The greatest id before this one; the first of all answers itself. */
export function idBefore(id: string): string {
  const dash = id.indexOf('-')
  const ms = BigInt(id.slice(0, dash))
  const sequence = BigInt(id.slice(dash + 1))
  if (sequence > 0n) return `${ms}-${sequence - 1n}`
  return ms > 0n ? `${ms - 1n}-${GREATEST_SEQUENCE}` : BEFORE_ALL
}

/** The part of an id that counts within its millisecond; inexact above what a number can hold. */
export function sequenceOf(id: string): number {
  return Number(id.slice(id.indexOf('-') + 1))
}
