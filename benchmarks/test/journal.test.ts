import { appendFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { startProgram } from '../src/harness/program-process.ts'
import { Journal, readJournal } from '../src/load/journal.ts'

const directory = mkdtempSync(join(tmpdir(), 'millrace-journal-'))
afterAll(() => {
  rmSync(directory, { recursive: true, force: true })
})

test('what was written to a journal is read as it was, in order', async () => {
  const path = join(directory, 'two')
  using journal = new Journal(path, 2)
  journal.append(1, 0.5)
  journal.append(2 ** 40, -1)
  expect([...(await readJournal(path))]).toEqual([1, 0.5, 2 ** 40, -1])
})

test('a number that was cut off is left out', async () => {
  const path = join(directory, 'cut')
  using journal = new Journal(path, 1)
  journal.append(7)
  appendFileSync(path, 'abc')
  expect([...(await readJournal(path))]).toEqual([7])
})

type Writing = { readonly write: (path: string) => void }

test('what a killed process has written is there', async () => {
  const path = join(directory, 'killed')
  await using program = startProgram<Writing>(new URL('programs/answering.ts', import.meta.url))
  await program.ask('write', path)
  await program.kill('SIGKILL')
  expect([...(await readJournal(path))]).toEqual([1, 2, 3])
})
