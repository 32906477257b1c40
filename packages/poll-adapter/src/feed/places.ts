import {
  compareIds,
  type EventStream,
  idTimeMs,
  isMillraceError,
  type Millrace,
  type StreamReport,
} from '@millrace/runtime'
import { PollAdapterError } from '../errors.ts'
import type { Clock } from '../lifecycle/clock.ts'
import { abortable } from '../lifecycle/signals.ts'
import type { CursorValue, Since } from './cursor-form.ts'
import type { Follower } from './follower.ts'
import type { History } from './history.ts'
import type { ResolvedFeedOptions, ResolvedPoll } from './options.ts'
import { lastIdOfMs, type StreamPosition } from './stream-position.ts'
import { RecentPlaces } from './recent-places.ts'
import type { Window } from './window.ts'

/** Where a poll goes on. */
export interface Place {
  /** `earliest` is wherever the stream begins. */
  readonly from: StreamPosition | 'earliest'
  /** What the old cursor said there, where that is known. */
  readonly value: CursorValue | undefined
  /** Which life of the stream, as this process has seen it. */
  readonly generation: number
  /** What to answer with while there is nothing after it; undefined where the stream knows better. */
  readonly cursor: number | string | null | undefined
  /** What to answer with when it does not. */
  readonly fallback?: number | string
}

/** Finds the place in the stream that a cursor stands for, and refuses cursors that would hide a loss. */
export class Places<Data> {
  readonly #millrace: Millrace
  readonly #stream: EventStream<never, Data>
  readonly #options: ResolvedFeedOptions<Data, unknown>
  readonly #follower: Follower<Data>
  readonly #history: History<Data>
  readonly #clock: Clock
  readonly #closing: AbortSignal
  readonly #recent = new RecentPlaces()
  /** Settles when the last look that was begun is done. */
  #lastLook: Promise<void> = Promise.resolve()
  /** The look that has not begun yet. */
  #nextLook: Promise<StreamReport> | undefined

  constructor(
    millrace: Millrace,
    stream: EventStream<never, Data>,
    options: ResolvedFeedOptions<Data, unknown>,
    follower: Follower<Data>,
    history: History<Data>,
    clock: Clock,
    closing: AbortSignal,
  ) {
    this.#millrace = millrace
    this.#stream = stream
    this.#options = options
    this.#follower = follower
    this.#history = history
    this.#clock = clock
    this.#closing = closing
  }

  /** A page ended there: whoever comes with its cursor needs no search. */
  note(cursor: number | string | null, { from }: Place): void {
    const { cursorOf } = this.#options.cursor
    if (cursorOf === undefined || cursor === null || from === 'earliest') return
    this.#recent.note(String(cursor), from)
  }

  async of({ since: text, signal }: ResolvedPoll): Promise<Place> {
    const { cursor: form, start } = this.#options
    const isOrigin = text === '' || text === String(form.origin)
    const since: Since = isOrigin ? { kind: 'beginning' } : form.parse(text)
    const window = await this.#follower.window(signal)
    const generation = this.#follower.generation
    const as = (from: Place['from'], value?: CursorValue): Place => ({
      from,
      value,
      generation,
      cursor: text === '' ? undefined : form.isNumeric ? numeric(text) : text,
    })
    switch (since.kind) {
      case 'beginning': {
        // The cursor of an empty stream says that nothing has been seen, so nothing may be missing.
        if (text !== '' && window.vouchedFromMs === undefined) {
          throw this.#refuse('CURSOR_EXPIRED', 'The beginning of the event stream has been removed')
        }
        if (text !== '' || start === 'earliest') return as('earliest')
        const { incarnation, lastId } = window
        return as({ incarnation, id: lastId }, window.last?.value)
      }
      case 'position': {
        const { position, value } = since
        if (position.incarnation === '') {
          this.#assertVouched(idTimeMs(position.id), window, text)
        }
        if (!window.covers(position)) await this.#assertReadable(position, window, text, signal)
        // What is read there later is read of this life of the stream, or refused.
        const incarnation = position.incarnation || window.incarnation
        return as({ incarnation, id: position.id }, value)
      }
      case 'time':
        return await this.#ofTime(since.timeMs, window, text, signal, as)
      case 'value':
        return await this.#ofValue(since.value, window, text, signal, as)
      default:
        return since satisfies never
    }
  }

  async #ofTime(
    timeMs: number,
    window: Window<Data>,
    text: string,
    signal: AbortSignal | undefined,
    as: (from: Place['from']) => Place,
  ): Promise<Place> {
    const { incarnation, lastId } = window
    const lastMs = idTimeMs(lastId)
    if (timeMs - this.#options.clockToleranceMs > Math.max(this.#clock.wallMs(), lastMs)) {
      throw this.#refuse('CURSOR_AHEAD', `The cursor ${text} lies in the future`)
    }
    this.#assertVouched(timeMs, window, text)
    const place = as({ incarnation, id: lastIdOfMs(timeMs) })
    if (timeMs <= lastMs) return place
    // Whoever has this time from another process has seen more than has come here.
    const report = await this.#look(signal)
    const isSame = report.exists && (incarnation === '' || report.incarnation === incarnation)
    const endId = isSame ? report.lastId : lastId
    if (timeMs <= idTimeMs(endId)) return place
    // Nothing has come up to then, though something still may: the answer leads back to the end that there is.
    const fallback = this.#options.cursor.isNumeric ? numeric(text) : text
    return { ...as({ incarnation, id: endId }), cursor: undefined, fallback }
  }

  async #ofValue(
    value: CursorValue,
    window: Window<Data>,
    text: string,
    signal: AbortSignal | undefined,
    as: (from: Place['from'], value?: CursorValue) => Place,
  ): Promise<Place> {
    const { incarnation } = window
    const known = this.#recent.find(text, incarnation)
    if (known !== undefined) return as({ incarnation, id: known }, value)
    const here = window.locate(value)
    if (here.kind === 'found' && (await this.#isComplete(here.id, window, signal))) {
      return as({ incarnation, id: here.id }, value)
    }
    const there = await this.#history.locate(value, signal)
    if (there.kind === 'found') {
      this.#recent.note(text, { incarnation, id: there.id })
      return as({ incarnation, id: there.id }, value)
    }
    if (this.#follower.generation > 0) {
      throw this.#refuse('STREAM_RECREATED', 'The event stream was created anew')
    }
    if (there.kind === 'ahead') {
      throw this.#refuse('CURSOR_AHEAD', `The cursor ${text} lies ahead of the event stream`)
    }
    if (this.#isCompleteAfter({ kind: 'value', value })) return as('earliest', value)
    throw this.#refuse(
      'CURSOR_EXPIRED',
      `The event stream does not reach back to ${text}, or has never had this cursor`,
    )
  }

  /** Whether no event that has not come here yet can share the cursor of the one at this place. */
  async #isComplete(
    id: string,
    window: Window<Data>,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    const { isUnique } = this.#options.cursor
    if (isUnique || id !== window.lastId || this.#follower.isSettled(window)) return true
    const report = await this.#look(signal)
    this.#follower.noteSettled(window, report)
    return report.lastId === id
  }

  /** A place that this process does not have in memory, or that was never there. */
  async #assertReadable(
    position: StreamPosition,
    window: Window<Data>,
    text: string,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { incarnation, id } = position
    const isElsewhere = incarnation !== '' && incarnation !== window.incarnation
    if (!isElsewhere && compareIds(id, window.base) < 0) return
    // Another process may have seen what has not come here yet, be it a stream that was created anew.
    const report = await this.#look(signal)
    const isAnother = incarnation !== '' && report.incarnation !== incarnation
    if (!report.exists || isAnother) {
      throw this.#refuse('STREAM_RECREATED', 'The event stream was created anew, or emptied')
    }
    if (compareIds(id, report.lastId) > 0) {
      throw this.#refuse('CURSOR_AHEAD', `The cursor ${text} lies ahead of the event stream`)
    }
  }

  /** A stream that has lost nothing does not say what was before its first event. */
  #assertVouched(timeMs: number, { vouchedFromMs }: Window<Data>, text: string): void {
    if (vouchedFromMs === undefined || timeMs >= vouchedFromMs - 1) return
    if (this.#isCompleteAfter({ kind: 'time', timeMs })) return
    if (this.#follower.generation > 0) {
      throw this.#refuse('STREAM_RECREATED', 'The event stream was created anew')
    }
    throw this.#refuse('CURSOR_EXPIRED', `The event stream does not reach back to ${text}`)
  }

  #isCompleteAfter(
    since:
      | { readonly kind: 'time'; readonly timeMs: number }
      | { readonly kind: 'value'; readonly value: CursorValue },
  ): boolean {
    const { completeAfter, cursor: form } = this.#options
    if (completeAfter === undefined || this.#follower.generation > 0) return false
    if (completeAfter === 'beginning') return true
    const known = form.parse(completeAfter)
    if (known.kind === 'beginning') return true
    if (since.kind === 'time') {
      const knownMs =
        known.kind === 'time'
          ? known.timeMs
          : known.kind === 'position'
            ? idTimeMs(known.position.id)
            : Number.POSITIVE_INFINITY
      return since.timeMs >= knownMs
    }
    const { value } = since
    if (known.kind !== 'value') return false
    return form.compare === undefined
      ? known.value === value
      : form.compare(value, known.value) >= 0
  }

  /** One look at a time, for all who need it, and begun after they needed it. */
  #look(signal: AbortSignal | undefined): Promise<StreamReport> {
    if (this.#nextLook === undefined) {
      const before = this.#lastLook
      const look = before.then(() => {
        this.#nextLook = undefined
        return this.#millrace.inspect(this.#stream, { signal: this.#closing })
      })
      this.#nextLook = look
      this.#lastLook = look.then(
        () => undefined,
        () => undefined,
      )
    }
    return abortable(this.#nextLook, signal, 'The poll')
  }

  #refuse(
    code: 'CURSOR_AHEAD' | 'CURSOR_EXPIRED' | 'STREAM_RECREATED',
    message: string,
  ): PollAdapterError {
    return new PollAdapterError(code, message, {
      stream: this.#stream.name,
      name: this.#options.name,
    })
  }
}

/** What reading says of a position that means nothing any more. */
export function refusalOf(error: unknown, facts: { stream: string; name: string }): unknown {
  if (!isMillraceError(error, 'CURSOR_INVALID')) return error
  return new PollAdapterError('STREAM_RECREATED', 'The event stream was created anew, or emptied', {
    ...facts,
    cause: error,
  })
}

/** A cursor goes back as it came: as a number where the form's cursors are numbers. */
function numeric(text: string): number | string {
  return Number.isFinite(Number(text)) ? Number(text) : text
}
