import { waitFor } from '@millrace/testkit'
import { expect } from 'vitest'
import type { DeadLetter, DeadLetters } from '../../src/index.ts'

/** Failures quickly follow one another, and their times are certain. */
export const quick = { firstMs: 10, greatestMs: 20, jitter: 0 } as const

export async function all<Data>(letters: DeadLetters<Data>): Promise<DeadLetter<Data>[]> {
  const found: DeadLetter<Data>[] = []
  for await (const letter of letters.list()) found.push(letter)
  return found
}

export function untilCount(letters: DeadLetters<unknown>, count: number): Promise<boolean> {
  return waitFor(async () => (await letters.count()) === count, {
    describe: `${count} dead letters of ${letters.name}`,
  })
}

export async function redriveAll(letters: DeadLetters<unknown>, count: number): Promise<void> {
  await untilCount(letters, count)
  expect(await letters.redrive()).toMatchObject({ matched: count, redriven: count })
}

/** The payload of a letter; undefined where it does not decode. */
export function dataOf<Data>(letter: DeadLetter<Data> | undefined): Data | undefined {
  return letter?.payload.ok === true ? letter.payload.data : undefined
}
