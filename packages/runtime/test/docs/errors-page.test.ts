import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { type ErrorCodeFacts, errorCodes } from '../../src/errors.ts'
import { filesIn } from './commands-in-source.ts'
import { root } from './pages.ts'

test('the page about errors is the one that follows from the codes', async () => {
  await expect(errorsPage(errorCodes)).toMatchFileSnapshot(`${root}/docs/errors.md`)
})

test('every code is used', () => {
  const texts = filesIn('')
    .filter((file) => file !== 'errors.ts')
    .map(read)
  const unused = Object.keys(errorCodes).filter(
    (code) => !texts.some((text) => text.includes(`'${code}'`)),
  )
  expect(unused).toEqual([])
})

function read(file: string): string {
  return readFileSync(`${root}/packages/runtime/src/${file}`, 'utf8')
}

/** The page as Markdown. */
function errorsPage(codes: Readonly<Record<string, ErrorCodeFacts>>): string {
  const rows = Object.entries(codes).map(
    ([code, { meaning, retryable, remedy }]) =>
      `| \`${code}\` | ${meaning} | ${retryable ? 'yes' : 'no'} | ${remedy} |`,
  )
  return [...opening, ...rows, ''].join('\n')
}

const opening = [
  '# Errors',
  '',
  '<!-- Generated: npm test -- packages/runtime/test/docs/errors-page.test.ts -u -->',
  '',
  'What Millrace throws, rejects with, or gives as the reason of a signal is a `MillraceError` with one of the',
  'codes below. Decide by `code`, never by `message`. When several parts fail while `millrace.close()` closes',
  'them, it rejects with an `AggregateError` of theirs.',
  '',
  '| field | what it holds |',
  '| --- | --- |',
  '| `code` | one of the codes below |',
  '| `retryable` | whether the same call may succeed later without any change |',
  '| `issues` | one line for each problem, with `OPTIONS_INVALID`, `PAYLOAD_INVALID` and refused arrays; else empty |',
  '| `stream` | the event stream that the call was about, where known |',
  '| `subject` | the name of the consumer or consumer group that the call was about, where known |',
  '| `gap` | with `GAP`: the ids `from` and `to`, how many `events` are missing, and whether that is `known` |',
  '| `retryAfterMs` | with `PRESSURE`: after how many milliseconds to try again |',
  '| `cause` | what went wrong underneath, as it was |',
  '',
  '`isMillraceError(error)` and `isMillraceError(error, code)` tell whether an error is one of these.',
  'Errors that your own handlers throw stay what they are; they appear as `cause`.',
  '',
  '| code | meaning | retryable | what to do |',
  '| --- | --- | --- | --- |',
]
