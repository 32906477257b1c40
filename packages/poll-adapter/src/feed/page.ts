import type { CursorForm } from './cursor-form.ts'
import type { StreamPosition } from './stream-position.ts'
import type { Kept } from './window.ts'

/** Some events that follow each other, and what is known of the stream behind them. */
export interface Candidates<Data> {
  readonly kept: readonly Kept<Data>[]
  readonly incarnation: string
  /** Whether more events follow those. */
  readonly more: boolean
  /** Whether the last one has stood at the end of the stream for as long as ties take. */
  readonly settled: boolean
}

export type Cut =
  /** Take so many; this is the cursor behind them. */
  | { readonly kind: 'page'; readonly count: number; readonly cursor: number | string }
  /** No page ends within these, and more follow. */
  | { readonly kind: 'too-few' }
  /** The stream ends within a tie that may not be complete yet. */
  | { readonly kind: 'held-back' }

/**
 * Where a page ends: at its limit, or at the nearest place before it that the form has a cursor for, or else at
 * the first one behind it.
 */
export function cutPage<Data>(
  form: CursorForm<Data>,
  { kept, incarnation, more, settled }: Candidates<Data>,
  limit: number,
): Cut {
  const cursorAfter = (index: number): number | string | undefined => {
    const last = kept[index]
    if (last === undefined) return undefined
    const next = kept[index + 1]
    const position: StreamPosition = { incarnation, id: last.id }
    // What follows the last candidate is not known, so nothing is either.
    const atEnd = more ? 'perhaps' : settled ? 'settled' : 'perhaps'
    const tieGoesOn = next === undefined ? atEnd : form.isTie(last, next) ? 'yes' : 'no'
    return form.format({ position, value: last.value, tieGoesOn })
  }
  const most = Math.min(limit, kept.length)
  for (let count = most; count >= 1; count--) {
    const cursor = cursorAfter(count - 1)
    if (cursor !== undefined) return { kind: 'page', count, cursor }
  }
  for (let count = most + 1; count <= kept.length; count++) {
    const cursor = cursorAfter(count - 1)
    if (cursor !== undefined) return { kind: 'page', count, cursor }
  }
  return more ? { kind: 'too-few' } : { kind: 'held-back' }
}
