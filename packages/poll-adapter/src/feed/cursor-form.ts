import type { Event } from '@millrace/runtime'
import type { StreamPosition } from './stream-position.ts'

/** What an old cursor says about one event: a number (also of milliseconds), or a text. */
export type CursorValue = number | string

/** What a `since` means. */
export type Since =
  /** Everything that there is. */
  | { readonly kind: 'beginning' }
  /** Right after one event; `value` is what the old cursor said of it, where that is known. */
  | {
      readonly kind: 'position'
      readonly position: StreamPosition
      readonly value: CursorValue | undefined
    }
  /** After everything that was stored up to and in this millisecond. */
  | { readonly kind: 'time'; readonly timeMs: number }
  /** After every event with at most this value, in the order of the stream. */
  | { readonly kind: 'value'; readonly value: CursorValue }

/** The last event of a page, as far as its cursor depends on it. */
export interface PageEnd {
  readonly position: StreamPosition
  /** The greatest value up to here, or the value of this event where values have no order. */
  readonly value: CursorValue | undefined
  /**
   * Whether further events may share this one's value: `no` when the next event has another one, `settled`
   * when none has come for as long as ties take, `perhaps` otherwise, `yes` when the next one does.
   */
  readonly tieGoesOn: 'no' | 'perhaps' | 'settled' | 'yes'
}

/**
 * How positions in an event stream are written as the cursors that pollers already know. Pages end only
 * where the form has a cursor for that place, so nothing is skipped or repeated at their borders.
 */
export interface CursorForm<Data> {
  readonly name: string
  /** The cursor that stands for the beginning, or null where a poller has to leave `since` out. */
  readonly origin: number | string | null
  /** Whether cursors are numbers in answers. */
  readonly isNumeric: boolean
  /** Whether no two events share a plain cursor. */
  readonly isUnique: boolean
  /** @throws PollAdapterError `CURSOR_INVALID` */
  readonly parse: (text: string) => Since
  /** Undefined when the form has no cursor for this place. */
  readonly format: (end: PageEnd) => number | string | undefined
  /** What the cursor says about an event; absent where ids alone decide. */
  readonly cursorOf?: (event: Event<Data>) => CursorValue | undefined
  /** Orders values; absent where they can only be equal or not. */
  readonly compare?: (a: CursorValue, b: CursorValue) => number
  /** Whether two events that follow each other have the same plain cursor. */
  readonly isTie: (a: TieSide, b: TieSide) => boolean
  /** For how long the end of the stream is held back, so that a tie can become complete, in milliseconds. */
  readonly settleMs: number
}

/** What decides whether two events tie. */
export interface TieSide {
  readonly id: string
  readonly value: CursorValue | undefined
}
