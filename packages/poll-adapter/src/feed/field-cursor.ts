import type { Event } from '@millrace/runtime'
import { parseCursor } from '../change/cursor.ts'
import { changeHeaders } from '../change/headers.ts'
import { PollAdapterError } from '../errors.ts'
import { boolean, callable, oneOf, optionProblems, throwProblems } from '../lifecycle/options.ts'
import type { CursorForm, CursorValue } from './cursor-form.ts'
import { formatPosition, parsePosition } from './stream-position.ts'
import { formatTimestamp, parseTimestamp, type TimestampForm } from './timestamp.ts'

export interface FieldCursorOptions<Data> {
  /**
   * The old cursor right after this event: a field of its data or a header. Times are milliseconds since
   * 1970. An event without one (undefined) belongs to the one before it.
   */
  readonly of: (event: Event<Data>) => CursorValue | undefined
  /** How it is written: a number, a text, or a time as with `timeCursor`. */
  readonly as: TimestampForm | 'number' | 'text'
  /**
   * Whether texts rise with the stream, compared character by character. Opaque texts do not; they are
   * found only where they stand, by reading the stream as far as that.
   * @defaultValue false
   */
  readonly isSorted?: boolean
  /**
   * Whether several events may have one cursor. `unique`: never. `extend`: a page that ends within them
   * has a cursor with a suffix (`<old>~<position>`, a text), which is exact. `whole`: cursors are always
   * plain; a page takes all events of a cursor, also above its limit, and the newest are held back for
   * `settleMs`. With `unique` and `whole`, an event that arrives late, below what was handed out, reaches
   * only pollers whose cursor is below it too; the fact `itemUnreachable` tells of each.
   */
  readonly ties: 'extend' | 'unique' | 'whole'
  /**
   * With `whole`, how long the newest events are held back, in milliseconds. Too low: an event that comes
   * with the same cursor afterwards is skipped. Too high: delay.
   * @defaultValue 50
   */
  readonly settleMs?: number
}

const SETTLE_MS = 50
const MARK = '~'

/** Old cursors that stand in the events themselves: numbers, times, or opaque texts of the old source. */
export function fieldCursor<Data>(options: FieldCursorOptions<Data>): CursorForm<Data> {
  throwProblems(
    'fieldCursor',
    optionProblems(options, {
      of: callable,
      as: oneOf('number', 'text', 'ms', 's', 'iso'),
      isSorted: boolean,
      ties: oneOf('unique', 'whole', 'extend'),
      settleMs: (v) =>
        (typeof v === 'number' && v >= 1 && v <= 60_000) || 'must be from 1 to 60000 milliseconds',
    }).concat(
      ['of', 'as', 'ties']
        .filter((name) => !Object.hasOwn(options, name))
        .map((n) => `${n} is missing`),
    ),
  )
  const { of, as, ties } = options
  const isOrdered = as !== 'text' || options.isSorted === true
  const form: CursorForm<Data> = {
    name: `field-${as}`,
    origin: null,
    isNumeric: as !== 'text' && as !== 'iso',
    isUnique: ties === 'unique',
    settleMs: ties === 'whole' ? (options.settleMs ?? SETTLE_MS) : 0,
    cursorOf: (event) => checked(of(event), as, event.id),
    parse(text) {
      const mark = text.lastIndexOf(MARK)
      const position = mark < 0 ? undefined : parsePosition(text.slice(mark + 1))
      if (position === undefined) return { kind: 'value', value: parseValue(text, as) }
      const value = mark === 0 ? undefined : parseValue(text.slice(0, mark), as)
      return { kind: 'position', position, value }
    },
    format({ position, value, tieGoesOn }) {
      const isWhole = tieGoesOn === 'no' || (tieGoesOn === 'settled' && ties === 'whole')
      if (value !== undefined && (isWhole || ties === 'unique')) return formatValue(value, as)
      if (ties !== 'extend') return undefined
      const plain = value === undefined ? '' : String(formatValue(value, as))
      return `${plain}${MARK}${formatPosition(position)}`
    },
    isTie: (a, b) => b.value === undefined || a.value === b.value,
  }
  return isOrdered ? { ...form, compare } : form
}

export type SourceCursorOptions = Omit<FieldCursorOptions<unknown>, 'of'>

/** The old cursors of the source itself, as a bridge has put them into the headers of its events. */
export function sourceCursor(options: SourceCursorOptions): CursorForm<unknown> {
  return fieldCursor<unknown>({
    ...options,
    of: ({ headers }) => parseCursor(headers[changeHeaders.cursor]),
  })
}

function compare(a: CursorValue, b: CursorValue): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function checked(
  value: unknown,
  as: FieldCursorOptions<never>['as'],
  id: string,
): CursorValue | undefined {
  if (value === undefined) return undefined
  const isFine = as === 'text' ? typeof value === 'string' : isExact(value)
  if (isFine) return value as CursorValue
  throw new PollAdapterError(
    'SOURCE_FAILED',
    `The cursor of event ${id} must be a ${as === 'text' ? 'text' : 'number'}`,
  )
}

function parseValue(text: string, as: FieldCursorOptions<never>['as']): CursorValue {
  if (as === 'text') return text
  if (as !== 'number') return parseTimestamp(text, as, 1).timeMs
  // Number('') is 0, and Number('0x10') is 16: neither was ever handed out.
  if (/^-?\d{1,17}(\.\d{1,9})?$/.test(text) && isExact(Number(text))) return Number(text)
  throw new PollAdapterError('CURSOR_INVALID', `The cursor ${JSON.stringify(text)} is not a number`)
}

/** A number that means one thing; greater ones than these have to be texts, sorted where they are padded. */
function isExact(value: unknown): boolean {
  return (
    typeof value === 'number' &&
    Number.isFinite(value) &&
    Math.abs(value) <= Number.MAX_SAFE_INTEGER
  )
}

function formatValue(value: CursorValue, as: FieldCursorOptions<never>['as']): CursorValue {
  if (as === 'text' || as === 'number' || typeof value === 'string') return value
  return formatTimestamp({ timeMs: value, ordinal: undefined }, as, 1) ?? value
}
