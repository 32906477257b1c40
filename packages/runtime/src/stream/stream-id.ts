/**
 * Arithmetic of Redis Stream ids (`<milliseconds>-<sequence>`). Ids stay strings everywhere: both
 * parts are unsigned 64-bit integers, which a number cannot hold, and they travel as strings anyway.
 */

/** The position before every event. */
export const FIRST_ID = '0-0'

const ID_PATTERN = /^(0|[1-9]\d{0,19})-(0|[1-9]\d{0,19})$/
const MAX_PART = 18_446_744_073_709_551_615n

/** Whether the text is a complete id. */
export function isStreamId(text: string): boolean {
  return ID_PATTERN.test(text)
}

/** Negative when `a` comes before `b`, 0 when they are equal, positive when it comes after. */
export function compareIds(a: string, b: string): number {
  if (a === b) return 0
  const dashA = a.indexOf('-')
  const dashB = b.indexOf('-')
  // Decimal numbers without leading zeros order by length first, then as text.
  if (dashA !== dashB) return dashA - dashB
  for (let i = 0; i < dashA; i++) {
    const difference = a.charCodeAt(i) - b.charCodeAt(i)
    if (difference !== 0) return difference
  }
  if (a.length !== b.length) return a.length - b.length
  for (let i = dashA + 1; i < a.length; i++) {
    const difference = a.charCodeAt(i) - b.charCodeAt(i)
    if (difference !== 0) return difference
  }
  return 0
}

/** The greater of two ids. */
export function maxId(a: string, b: string): string {
  return compareIds(a, b) >= 0 ? a : b
}

/** The smallest id after this one. */
export function nextId(id: string): string {
  const [ms, sequence] = parts(id)
  if (sequence < MAX_PART) return `${ms}-${sequence + 1n}`
  return `${ms + 1n}-0`
}

/** The greatest id before this one; `0-0` has none and answers itself. */
export function previousId(id: string): string {
  const [ms, sequence] = parts(id)
  if (sequence > 0n) return `${ms}-${sequence - 1n}`
  if (ms > 0n) return `${ms - 1n}-${MAX_PART}`
  return FIRST_ID
}

/** The id `count` places after this one in the same millisecond, as a batch assigns them. */
export function idAfter(id: string, count: number): string {
  if (count === 0) return id
  const dash = id.indexOf('-')
  const sequence = id.slice(dash + 1)
  // Sequences are small but for hostile input; the fast path covers all that numbers hold exactly.
  if (sequence.length < 15) return `${id.slice(0, dash)}-${Number(sequence) + count}`
  return `${id.slice(0, dash)}-${BigInt(sequence) + BigInt(count)}`
}

/** The millisecond part: when Redis stored the event, by the server's clock. */
export function idTimeMs(id: string): number {
  // This is asked for each event, and most were stored in the same millisecond as the one before.
  if (id.startsWith(lastPart)) return lastMs
  const dash = id.indexOf('-')
  const ms = Number(dash < 0 ? id : id.slice(0, dash))
  if (dash < 0) return ms
  lastPart = id.slice(0, dash + 1)
  return (lastMs = ms)
}

let lastPart = '-'
let lastMs = 0

function parts(id: string): [bigint, bigint] {
  const dash = id.indexOf('-')
  return [BigInt(id.slice(0, dash)), BigInt(id.slice(dash + 1))]
}
