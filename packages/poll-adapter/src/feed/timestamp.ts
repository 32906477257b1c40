import { PollAdapterError } from '../errors.ts'

/**
 * How a time is written: milliseconds or seconds since 1970 as a number, or a date and time as in
 * RFC 3339. Digits beyond the resolution count the events of one millisecond.
 */
export type TimestampForm = 'iso' | 'ms' | 's'

/** A time, and which event of that millisecond is meant (from 1 on; undefined: all of them). */
export interface Timestamp {
  readonly timeMs: number
  readonly ordinal: number | undefined
}

/** Milliseconds are the last three digits of what a number can hold; a text has room for six more. */
const MOST_ORDINAL: Readonly<Record<TimestampForm, number>> = { iso: 999_999, ms: 999, s: 999 }
/** The end of the year 9999. */
const GREATEST_MS = 253_402_300_799_999

const ISO =
  /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:([Zz])|([+ -])(\d\d):?(\d\d))$/

/**
 * @param resolutionMs how coarse plain times are: a plain second stands for all of its milliseconds
 * @throws PollAdapterError `CURSOR_INVALID`
 */
export function parseTimestamp(text: string, form: TimestampForm, resolutionMs: number): Timestamp {
  const parsed = form === 'iso' ? fromIso(text) : fromNumber(text, form === 's' ? 1_000 : 1)
  if (parsed === undefined || parsed.timeMs > GREATEST_MS) {
    const wanted =
      form === 'iso'
        ? 'a date and time such as 2026-01-31T12:00:00.000Z'
        : `a number of ${form === 's' ? 'seconds' : 'milliseconds'} since 1970`
    throw new PollAdapterError(
      'CURSOR_INVALID',
      `The cursor ${JSON.stringify(text)} is not ${wanted}`,
    )
  }
  if (parsed.ordinal !== undefined) return parsed
  return { timeMs: unitEnd(parsed.timeMs, resolutionMs), ordinal: undefined }
}

/** Undefined when there are more events in the millisecond than the form can count. */
export function formatTimestamp(
  { timeMs, ordinal }: Timestamp,
  form: TimestampForm,
  resolutionMs: number,
): number | string | undefined {
  if (ordinal !== undefined && ordinal > MOST_ORDINAL[form]) return undefined
  const coarse = ordinal === undefined ? timeMs - (timeMs % resolutionMs) : timeMs
  if (form === 'iso') {
    const iso = new Date(coarse).toISOString()
    if (ordinal !== undefined) return `${iso.slice(0, -1)}${pad(ordinal, 6)}Z`
    return resolutionMs >= 1_000 ? `${iso.slice(0, -5)}Z` : iso
  }
  if (form === 'ms') return ordinal === undefined ? coarse : Number(`${coarse}.${pad(ordinal, 3)}`)
  const seconds = Math.floor(coarse / 1_000)
  const fraction = ordinal === undefined ? '' : pad(ordinal, 3)
  return Number(`${seconds}.${pad(coarse % 1_000, 3)}${fraction}`)
}

/** The last millisecond of the unit that the time lies in. */
export function unitEnd(timeMs: number, resolutionMs: number): number {
  return timeMs - (timeMs % resolutionMs) + resolutionMs - 1
}

function fromIso(text: string): Timestamp | undefined {
  const match = ISO.exec(text)
  if (match === null) return undefined
  const [, date = '', time = '', fraction = '', zulu, sign = '+', hours = '00', minutes = '00'] =
    match
  // A plus sign in a query that was not escaped arrives as a blank.
  const zone = zulu === undefined ? `${sign === '-' ? '-' : '+'}${hours}:${minutes}` : 'Z'
  const digits = fraction.padEnd(9, '0')
  const timeMs = Date.parse(`${date}T${time}.${digits.slice(0, 3)}${zone}`)
  // Date rolls the 31st of February over into March; such a cursor was never handed out.
  if (Number.isNaN(timeMs) || timeMs < 0 || !isDay(date)) return undefined
  return { timeMs, ordinal: Number(digits.slice(3)) || undefined }
}

function isDay(date: string): boolean {
  const day = new Date(`${date}T00:00:00Z`)
  return !Number.isNaN(day.getTime()) && day.toISOString().startsWith(date)
}

function fromNumber(text: string, unitMs: 1 | 1_000): Timestamp | undefined {
  const match = /^(\d{1,15})(?:\.(\d{1,6}))?$/.exec(text)
  if (match === null) return undefined
  const [, whole = '', fraction = ''] = match
  if (unitMs === 1) {
    if (fraction.length > 3) return undefined
    return { timeMs: Number(whole), ordinal: Number(fraction.padEnd(3, '0')) || undefined }
  }
  const digits = fraction.padEnd(6, '0')
  const timeMs = Number(whole) * 1_000 + Number(digits.slice(0, 3))
  return { timeMs, ordinal: Number(digits.slice(3)) || undefined }
}

function pad(value: number, digits: number): string {
  return String(value).padStart(digits, '0')
}
