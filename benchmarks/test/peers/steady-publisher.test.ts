import { expect, test } from 'vitest'
import type { TimedEvent } from '../../src/load/timed-event.ts'
import { SteadyPublisher } from '../../src/peers/steady-publisher.ts'

test('only what was confirmed is looked for afterwards; what was refused is counted', async () => {
  const sent: number[] = []
  const enough = Promise.withResolvers<void>()
  const publisher = {
    publish([event]: readonly TimedEvent[]) {
      if (event !== undefined) sent.push(event.sequence)
      if (sent.length === 20) enough.resolve()
      return sent.length % 2 === 0 ? Promise.reject(new Error('away')) : Promise.resolve()
    },
    close: () => Promise.resolve(),
  }
  const steady = new SteadyPublisher(publisher, 1_000, 5)
  await enough.promise
  const { sequences, failed } = await steady.end()
  expect(sent).toEqual(Array.from(sent, (_, index) => 5 + index))
  expect(sequences).toEqual(sent.filter((_, index) => index % 2 === 0))
  expect(failed).toBe(sent.length - sequences.length)
})
