import { type Change, changeId } from '../change/change.ts'
import type { CursorClass } from '../change/cursor.ts'
import type { SourcePosition } from '../change/position.ts'
import { PollAdapterError } from '../errors.ts'

/**
 * An item without a version that looks again as it did before another change has the id of an earlier change.
 * Where the cursor tells them apart it is part of the content; under one cursor nothing does.
 */

/** Within a page of a source with opaque cursors. Pure. */
export function isReturn({ kind }: CursorClass, change: Change): boolean {
  return kind === 'border' && hasNoVersion(change)
}

/** What a page says of one item. */
export interface LastOfItem {
  readonly change: Change
  /** Whether it had come before in the page, with another change of the item in between. */
  readonly isAgain: boolean
}

/**
 * Of a source with an overlap: the items whose last change is known, but is not the one that was taken last, under
 * the same cursor, which the source does not show any more. Only a page with all that the overlap holds can say so.
 */
export function returnedWithinOverlap(
  cursors: CursorClass,
  position: SourcePosition,
  lastOfItems: Iterable<LastOfItem>,
  newest: ReadonlyMap<string, Change>,
  seen: ReadonlySet<string>,
): Change[] {
  if (cursors.kind !== 'overlap') return []
  const returned: Change[] = []
  for (const { change, isAgain } of lastOfItems) {
    const taken = newest.get(change.key) ?? position.latestOf(change.key)
    if (taken === undefined || taken.id === change.id || !hasNoVersion(change)) continue
    const isSameCursor =
      taken.cursor !== undefined &&
      change.cursor !== undefined &&
      cursors.compare(taken.cursor, change.cursor) === 0
    if (isSameCursor && (isAgain || !seen.has(taken.id))) returned.push(change)
  }
  return returned
}

export function returnedError({ key }: Change): PollAdapterError {
  return new PollAdapterError(
    'SOURCE_FAILED',
    `${key} looks again as it did before another change, and cannot be told from it; give version`,
  )
}

function hasNoVersion({ key, id, hash, deleted }: Change): boolean {
  return id === changeId(key, undefined, hash, deleted)
}
