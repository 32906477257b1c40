import { idTimeMs } from '@millrace/runtime'
import { oneOf, optionProblems, throwProblems } from '../lifecycle/options.ts'
import type { CursorForm } from './cursor-form.ts'
import { sequenceOf } from './stream-position.ts'
import { formatTimestamp, parseTimestamp, type TimestampForm, unitEnd } from './timestamp.ts'

export interface TimeCursorOptions {
  /**
   * How the endpoint writes times: `ms` and `s` are numbers since 1970, `iso` is a date and time.
   * @defaultValue 'ms'
   */
  readonly form?: TimestampForm
  /**
   * How coarse the endpoint's times are, in milliseconds: 1 or 1000.
   * @defaultValue 1, and 1000 for `s`
   */
  readonly resolutionMs?: 1 | 1_000
  /**
   * What becomes of events with equal times. `extend`: a cursor that ends within them has further digits
   * (`1700000000123.002`, `…:00.123000002Z`), which say exactly where. `whole`: cursors are always plain; a
   * page takes all events of a time, also above its limit, and the newest are held back for `settleMs`.
   * Choose `whole` only where pollers cut the digits off.
   * @defaultValue 'extend'
   */
  readonly ties?: 'extend' | 'whole'
  /**
   * With `whole`, and where a millisecond has more events than the form can count (999 for numbers, 999,999 for
   * dates), how long the newest are held back, in milliseconds. Too low: an event that is stored in the same
   * unit afterwards is skipped. Too high: delay.
   * @defaultValue the resolution and 20 more
   */
  readonly settleMs?: number
}

/** Beyond the unit itself, for the way from Redis to here. */
const SETTLE_MS = 20

/** Times at which Redis stored the events, which never go back within a stream. */
export function timeCursor(options: TimeCursorOptions = {}): CursorForm<unknown> {
  throwProblems(
    'timeCursor',
    optionProblems(options, {
      form: oneOf('ms', 's', 'iso'),
      resolutionMs: (v) => v === 1 || v === 1_000 || 'must be 1 or 1000',
      ties: oneOf('extend', 'whole'),
      settleMs: (v) =>
        (typeof v === 'number' && v >= 1 && v <= 60_000) || 'must be from 1 to 60000 milliseconds',
    }),
  )
  const form = options.form ?? 'ms'
  const resolutionMs = options.resolutionMs ?? (form === 's' ? 1_000 : 1)
  const isExtended = (options.ties ?? 'extend') === 'extend'
  const unitOf = (id: string): number => unitEnd(idTimeMs(id), resolutionMs)
  return {
    name: `time-${form}`,
    origin: form === 'iso' ? new Date(0).toISOString() : 0,
    isNumeric: form !== 'iso',
    isUnique: false,
    settleMs: options.settleMs ?? resolutionMs + SETTLE_MS,
    parse(text) {
      const { timeMs, ordinal } = parseTimestamp(text, form, resolutionMs)
      if (ordinal !== undefined) {
        const id = `${timeMs}-${ordinal - 1}`
        return { kind: 'position', position: { incarnation: '', id }, value: undefined }
      }
      return timeMs < resolutionMs ? { kind: 'beginning' } : { kind: 'time', timeMs }
    },
    format({ position: { id }, tieGoesOn }) {
      const timeMs = idTimeMs(id)
      const plain = formatTimestamp({ timeMs, ordinal: undefined }, form, resolutionMs)
      if (tieGoesOn === 'no') return plain
      const ordinal = sequenceOf(id) + 1
      const exact = isExtended
        ? formatTimestamp({ timeMs, ordinal }, form, resolutionMs)
        : undefined
      return exact ?? (tieGoesOn === 'settled' ? plain : undefined)
    },
    isTie: (a, b) => unitOf(a.id) === unitOf(b.id),
  }
}
