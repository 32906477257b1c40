/** A source's cursor: where its changes go on. Opaque unless its class says otherwise. */
export type Cursor = number | string

/**
 * What may be concluded from a source's cursor; it decides how a position in the source and one in the
 * stream are matched.
 *
 * - `exact`: each change has a cursor of its own, cursors rise, and nothing ever appears behind one that
 *   was seen (a sequence number given at commit).
 * - `overlap`: cursors rise, but may be equal, and changes may appear late behind ones that were seen
 *   (timestamps, ids given before commit). What lies within the overlap is read again, and known changes
 *   are dropped.
 * - `border`: opaque; only the end of a page has one.
 * - `snapshot`: there is none; each fetch answers everything there is.
 */
export type CursorClass =
  | { readonly kind: 'exact'; readonly compare: CompareCursors }
  | {
      readonly kind: 'overlap'
      readonly compare: CompareCursors
      /** The cursor one overlap before this one. */
      readonly before: (cursor: Cursor) => Cursor
    }
  | { readonly kind: 'border' }
  | { readonly kind: 'snapshot' }

/** Negative when `a` comes before `b`. */
export type CompareCursors = (a: Cursor, b: Cursor) => number

/** Numbers and decimal texts by value, ISO times by time, and other texts by their characters. */
export function compareCursors(a: Cursor, b: Cursor): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b
  const [left, right] = [String(a), String(b)]
  if (left.length !== right.length) {
    if (DECIMAL.test(left) && DECIMAL.test(right)) return left.length - right.length
    // `10:00:00Z` is before `10:00:00.5Z`, but not by its characters.
    const difference =
      ISO_TIME.test(left) && ISO_TIME.test(right) ? Date.parse(left) - Date.parse(right) : 0
    if (difference !== 0) return difference
  }
  return left === right ? 0 : left < right ? -1 : 1
}

const DECIMAL = /^(0|[1-9]\d*)$/
const ISO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d/

/** As stored in Redis and in headers; keeps numbers apart from texts. */
export function formatCursor(cursor: Cursor | undefined): string {
  return cursor === undefined ? '' : JSON.stringify(cursor)
}

/** Undefined for anything that {@link formatCursor} did not write. */
export function parseCursor(stored: string | undefined): Cursor | undefined {
  if (stored === undefined || stored === '') return undefined
  try {
    const value: unknown = JSON.parse(stored)
    return typeof value === 'number' || typeof value === 'string' ? value : undefined
  } catch {
    return undefined
  }
}
