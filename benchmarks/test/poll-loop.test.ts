import { expect, test } from 'vitest'
import { type Page, PollLoops } from '../src/pollers/poll-loop.ts'

test('a poller asks again at once after a full page, and goes on after its cursor', async () => {
  const asked: number[] = []
  const handled: unknown[] = []
  const { promise: polled, resolve } = Promise.withResolvers<void>()
  const poll = (cursor: number): Promise<Page<number>> => {
    asked.push(cursor)
    if (cursor === 4) {
      resolve()
      // Nothing more comes of it.
      return new Promise(() => undefined)
    }
    return Promise.resolve({ events: [cursor], cursor: cursor + 1, isFull: cursor < 3 })
  }
  const loops = new PollLoops(0, poll, (event) => {
    handled.push(event)
  })
  loops.pollEvery(1)
  void loops.run()
  await polled
  expect(asked).toEqual([0, 1, 2, 3, 4])
  expect(handled).toEqual([0, 1, 2, 3])
})

test('a shorter interval wakes up who waits for a longer one', async () => {
  const { promise: polled, resolve } = Promise.withResolvers<void>()
  const poll = (): Promise<Page<number>> => {
    resolve()
    return new Promise(() => undefined)
  }
  const loops = new PollLoops(0, poll, () => undefined)
  loops.pollEvery(3_600_000)
  void loops.run()
  loops.pollEvery(1)
  await expect(polled).resolves.toBeUndefined()
})

test('a poll that fails ends the loop with its error', async () => {
  const loops = new PollLoops(
    0,
    () => Promise.reject(new Error('refused')),
    () => undefined,
  )
  loops.pollEvery(1)
  await expect(loops.run()).rejects.toThrow('refused')
})
