import { PollAdapterError } from '../errors.ts'
import type { CursorForm } from './cursor-form.ts'
import { BEFORE_ALL, formatPosition, parsePosition } from './stream-position.ts'

/**
 * The stream's own cursors: opaque, exact at any event, and refused once the stream was created anew.
 * For pollers that hand back what they were given and look no further.
 */
export function positionCursor(): CursorForm<unknown> {
  return {
    name: 'position',
    origin: formatPosition({ incarnation: '', id: BEFORE_ALL }),
    isNumeric: false,
    isUnique: true,
    settleMs: 0,
    parse(text) {
      const position = parsePosition(text)
      if (position === undefined) {
        throw new PollAdapterError(
          'CURSOR_INVALID',
          `The cursor ${JSON.stringify(text)} was never handed out`,
        )
      }
      if (position.id === BEFORE_ALL && position.incarnation === '') return { kind: 'beginning' }
      return { kind: 'position', position, value: undefined }
    },
    format: ({ position }) => formatPosition(position),
    isTie: () => false,
  }
}
