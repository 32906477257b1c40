import { expect, test } from 'vitest'
import { startProgram } from '../src/harness/program-process.ts'

type Answering = {
  readonly double: (input: number) => number
  readonly fail: (nothing: null) => never
  readonly leave: (nothing: null) => never
  readonly dance: (nothing: null) => never
}

const file = new URL('programs/answering.ts', import.meta.url)

test('a program answers what it is asked, also several things at once', async () => {
  await using program = startProgram<Answering>(file)
  expect(await Promise.all([program.ask('double', 2), program.ask('double', 21)])).toEqual([4, 42])
})

test('an error in the program is an error of the question', async () => {
  await using program = startProgram<Answering>(file)
  await expect(program.ask('fail', null)).rejects.toThrow(/answering\.ts: Error: it went wrong/)
  await expect(program.ask('dance', null)).rejects.toThrow(/cannot be asked to dance/)
})

test('a program that ends leaves no question open', async () => {
  await using program = startProgram<Answering>(file)
  await expect(program.ask('leave', null)).rejects.toThrow(/ended early \(exit code 3\)/)
  await expect(program.ask('double', 1)).rejects.toThrow(/channel closed/i)
})

test('a program that is killed leaves no question open and is gone', async () => {
  await using program = startProgram<Answering>(file)
  await program.ask('double', 1)
  const { pid } = program
  await program.kill('SIGKILL')
  await expect(program.ask('double', 1)).rejects.toThrow(/channel closed/i)
  expect(() => process.kill(pid, 0)).toThrow('ESRCH')
})

test('a program that stands still ends all the same', async () => {
  const program = startProgram<Answering>(file)
  await program.ask('double', 1)
  const { pid } = program
  await program.kill('SIGSTOP')
  await program[Symbol.asyncDispose]()
  expect(() => process.kill(pid, 0)).toThrow('ESRCH')
})
