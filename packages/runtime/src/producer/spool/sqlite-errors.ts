import { isMillraceError, messageOf, MillraceError } from '../../errors.ts'

/** The result codes of SQLite that the spool tells apart; the low byte of what is reported. */
const BUSY = 5
const IO_ERROR = 10
const CORRUPT = 11
const FULL = 13
const NOT_A_DATABASE = 26
const NO_SPACE_ERRNO = 'ENOSPC'

export function isLocked(error: unknown): boolean {
  return resultCode(error) === BUSY
}

export function isDamage(error: unknown): boolean {
  const code = resultCode(error)
  return code === CORRUPT || code === NOT_A_DATABASE
}

/** The error that users get for a spool file that cannot be written or read. */
export function fromSqlite(path: string, error: unknown): MillraceError {
  if (isMillraceError(error)) return error
  const text = messageOf(error)
  const facts = { cause: error }
  if (isDamage(error))
    return new MillraceError('SPOOL_CORRUPT', `The spool file ${path} is damaged: ${text}`, facts)
  if (resultCode(error) === FULL || systemCode(error) === NO_SPACE_ERRNO)
    return new MillraceError('SPOOL_FULL', `The disk of the spool ${path} is full: ${text}`, facts)
  const what = resultCode(error) === IO_ERROR ? 'could not be written or read' : 'failed'
  return new MillraceError('SPOOL_FAILED', `The spool ${path} ${what}: ${text}`, facts)
}

function resultCode(error: unknown): number | undefined {
  if (!(error instanceof Error)) return undefined
  const code: unknown = Reflect.get(error, 'errcode')
  return typeof code === 'number' ? code & 0xff : undefined
}

function systemCode(error: unknown): unknown {
  return error instanceof Error ? Reflect.get(error, 'code') : undefined
}
