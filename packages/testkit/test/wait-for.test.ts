import { expect, test } from 'vitest'
import { waitFor } from '../src/index.ts'

test('waitFor resolves to the first truthy answer', async () => {
  let looks = 0
  const answer = await waitFor(() => ++looks >= 3 && `look ${looks}`, {
    describe: 'the third look',
    everyMs: 1,
  })
  expect(answer).toBe('look 3')
})

test('waitFor looks again after a condition that throws', async () => {
  let looks = 0
  const condition = async (): Promise<string> => {
    looks += 1
    if (looks < 3) throw new Error('not yet')
    return 'now'
  }
  await expect(waitFor(condition, { describe: 'no more errors', everyMs: 1 })).resolves.toBe('now')
})

test('waitFor rejects with the description and the last answer when time is up', async () => {
  const waiting = waitFor(() => 0, { describe: 'the count to rise', timeoutMs: 5, everyMs: 1 })
  await expect(waiting).rejects.toThrow('waited 5 ms for the count to rise; the last answer was 0')
})

test('waitFor rejects with the last error as its cause when time is up', async () => {
  const cause = new Error('connection refused')
  const waiting = waitFor(() => Promise.reject(cause), {
    describe: 'an answer',
    timeoutMs: 5,
    everyMs: 1,
  })
  await expect(waiting).rejects.toMatchObject({
    message: 'waited 5 ms for an answer; the last look failed: connection refused',
    cause,
  })
})

test('waitFor ends early with the reason of its signal', async () => {
  const controller = new AbortController()
  const waiting = waitFor(() => false, { describe: 'what never comes', signal: controller.signal })
  controller.abort(new Error('enough'))
  await expect(waiting).rejects.toThrow('enough')
})

test('waitFor gives up on a condition that never settles', async () => {
  const never = (): Promise<boolean> => Promise.withResolvers<boolean>().promise
  const waiting = waitFor(never, { describe: 'a word', timeoutMs: 5 })
  await expect(waiting).rejects.toThrow('for a word; the last look failed: it had not ended')
})
