import { compareIds } from '@millrace/runtime'
import type { Border, Ledger } from '../bridge/ledger.ts'
import { type Cursor, type CursorClass, formatCursor } from '../change/cursor.ts'

/** Where in the stream a poller goes on that stands at a position of the source. */
export type Place =
  /** After this id; everything at or before it is handled, and much of what follows may be known as well. */
  | { readonly found: true; readonly id: string }
  /** Not yet, for this reason. */
  | { readonly found: false; readonly reason: string }

export interface StreamFacts {
  readonly incarnation: string
  /** The greatest id that retention has removed; '' when it has removed nothing. */
  readonly trimmed: string
}

const BEGINNING = '0-0'

/**
 * Finds the place in the stream that belongs to a position in the source. Pure.
 *
 * @param cursor of the poller: at or before it everything is handled
 * @param bridgeFetches of a snapshot: how many fetches of the bridge were complete before the poller's last one
 */
export function locate(
  cursors: CursorClass,
  cursor: Cursor | undefined,
  bridgeFetches: number,
  ledger: Ledger,
  stream: StreamFacts,
): Place {
  if (!ledger.began) return notYet('no bridge has brought anything from its source yet')
  if (ledger.incarnation !== '' && ledger.incarnation !== stream.incarnation) {
    return notYet('the stream was created anew, and the bridge has not published into it since')
  }
  const borders = withCurrent(ledger)
  switch (cursors.kind) {
    case 'exact':
      return ordered(cursors.compare, cursor, cursor, ledger, borders, stream)
    case 'overlap': {
      const sure = cursor === undefined ? undefined : cursors.before(cursor)
      // What the bridge still brings must not be older than what the poller remembers.
      if (
        sure !== undefined &&
        (ledger.cursor === undefined || cursors.compare(ledger.cursor, sure) < 0)
      ) {
        return notYet(`the bridge is at ${text(ledger.cursor)}, the poller at ${text(cursor)}`)
      }
      return ordered(cursors.compare, sure, cursor, ledger, borders, stream)
    }
    case 'border': {
      if (cursor === undefined) return fromBeginning(ledger.from === undefined, ledger, stream)
      const border = borders.findLast((one) => formatCursor(one.cursor) === formatCursor(cursor))
      if (border !== undefined) return reachable(border.id, stream)
      if (formatCursor(ledger.from) === formatCursor(cursor)) {
        return fromBeginning(true, ledger, stream)
      }
      return notYet(`the bridge has not passed the end of the page ${text(cursor)}`)
    }
    case 'snapshot': {
      const border = borders.findLast((one) => one.fetches <= bridgeFetches)
      if (border !== undefined) return reachable(border.id, stream)
      return fromBeginning(true, ledger, stream)
    }
    default:
      return cursors satisfies never
  }
}

/** Cursors that can be compared: the last place whose cursor the poller has surely passed. */
function ordered(
  compare: (a: Cursor, b: Cursor) => number,
  sure: Cursor | undefined,
  cursor: Cursor | undefined,
  ledger: Ledger,
  borders: readonly Border[],
  stream: StreamFacts,
): Place {
  const isPassed = (at: Cursor | undefined): boolean =>
    at === undefined || (sure !== undefined && compare(at, sure) <= 0)
  const border = borders.findLast((one) => one.cursor !== undefined && isPassed(one.cursor))
  if (border !== undefined) return reachable(border.id, stream)
  if (isPassed(ledger.from)) return fromBeginning(true, ledger, stream)
  return notYet(
    `the bridge began at ${text(ledger.from)}, which the poller at ${text(cursor)} has not passed`,
  )
}

function fromBeginning(holdsAll: boolean, ledger: Ledger, stream: StreamFacts): Place {
  if (holdsAll) return reachable(BEGINNING, stream)
  return notYet(`the bridge began at ${text(ledger.from)}: what came before is not in the stream`)
}

/** Events after the place that retention has removed would be lost. */
function reachable(id: string, { trimmed }: StreamFacts): Place {
  if (trimmed === '' || compareIds(id, trimmed) >= 0) return { found: true, id }
  return notYet('retention has removed events that the poller has not handled')
}

/** The place where the bridge stands now counts as well. */
function withCurrent(ledger: Ledger): readonly Border[] {
  const { cursor, lastId: id, fetches, borders } = ledger
  if (id === '' || !ledger.atBorder) return borders
  return [...borders, { cursor, id, fetches }]
}

function notYet(reason: string): Place {
  return { found: false, reason }
}

function text(cursor: Cursor | undefined): string {
  return cursor === undefined ? 'the beginning' : formatCursor(cursor)
}
