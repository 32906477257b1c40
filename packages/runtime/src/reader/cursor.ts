import { MillraceError } from '../errors.ts'
import type { StreamFigures } from '../stream/open-stream-script.ts'
import { compareIds, isStreamId, previousId } from '../stream/stream-id.ts'
import type { StartPosition } from '../stream/start-position.ts'

/** Opaque to users: `<incarnation>.<id>`. An empty incarnation means that it was not known. */
export interface Cursor {
  readonly incarnation: string
  readonly id: string
}

/** @throws MillraceError `CURSOR_INVALID` */
function parseCursor(text: string, stream: string): Cursor {
  const dot = text.lastIndexOf('.')
  const id = text.slice(dot + 1)
  if (dot < 0 || !isStreamId(id)) {
    throw new MillraceError('CURSOR_INVALID', `${JSON.stringify(text)} is not a cursor`, { stream })
  }
  return { incarnation: text.slice(0, dot), id }
}

/**
 * The id after which to read. A cursor of another incarnation, or ahead of the stream, is an error and
 * never an empty read: the caller would wait for ever for events that were lost.
 * @throws MillraceError `CURSOR_INVALID`
 */
export function resolveStart(
  from: string | StartPosition,
  figures: StreamFigures,
  stream: string,
): Cursor {
  const { incarnation } = figures
  // Everything before is gone, whoever missed it: the beginning is there.
  if (from === 'earliest') return { incarnation, id: figures.trimmed }
  if (from === 'latest') return { incarnation, id: figures.lastId }
  if (typeof from === 'object') {
    return { incarnation, id: 'id' in from ? from.id : previousId(`${from.timeMs}-0`) }
  }
  const cursor = parseCursor(from, stream)
  assertReadable(cursor, figures, stream)
  return { incarnation, id: cursor.id }
}

/** @throws MillraceError `CURSOR_INVALID` */
export function assertReadable(cursor: Cursor, figures: StreamFigures, stream: string): void {
  if (
    cursor.incarnation !== '' &&
    figures.incarnation !== '' &&
    cursor.incarnation !== figures.incarnation
  ) {
    throw new MillraceError(
      'CURSOR_INVALID',
      `The cursor belongs to an earlier incarnation of event stream ${stream}, which was created anew`,
      { stream },
    )
  }
  if (compareIds(cursor.id, figures.lastId) > 0) {
    throw new MillraceError(
      'CURSOR_INVALID',
      `The cursor is ahead of event stream ${stream}, whose last id is ${figures.lastId}`,
      { stream },
    )
  }
}
