import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { isPollAdapterError, PollAdapterError, pollErrorCodes } from '@millrace/poll-adapter'

it('takes whether a call may be repeated from the one table', () => {
  expect(new PollAdapterError('UNAVAILABLE', 'away').retryable).toBe(true)
  const error: unknown = new PollAdapterError('CURSOR_EXPIRED', 'gone', { cause: 1, stream: 's' })
  expect(isPollAdapterError(error, 'CURSOR_EXPIRED')).toBe(true)
  expect(isPollAdapterError(error, 'ABORTED')).toBe(false)
  expect(error).toMatchObject({ retryable: false, cause: 1, stream: 's' })
})

it('lists every code in the README with its meaning and remedy', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
  const rows = Object.entries(pollErrorCodes).map(
    ([code, { retryable, meaning, remedy }]) =>
      `| \`${code}\` | ${retryable ? 'yes' : 'no'} | ${meaning} | ${remedy} |`,
  )
  const listed = readme.split('\n').filter((line) => /^\| `[A-Z_]+` \| (yes|no) \|/.test(line))
  expect(listed).toEqual(rows)
})
