import { startRedis, waitFor } from '@millrace/testkit'
import { expect, it } from 'vitest'
import { resolveConnectOptions } from '../../src/connection/options.ts'
import { Consumer } from '../../src/consumer/consumer.ts'
import { resolveConsumerOptions } from '../../src/consumer/options.ts'
import { Pulse } from '../../src/consumer/pulse.ts'
import { createCore } from '../../src/core.ts'
import { defineStream } from '../../src/index.ts'
import { type Clock, systemClock } from '../../src/lifecycle/clock.ts'
import { Tails } from '../../src/tail/tails.ts'

it('starts what came while its lease was in doubt as soon as a beat is confirmed', async () => {
  await using redis = await startRedis()
  let jumpedMs = 0
  const clock: Clock = {
    monotonicMs: () => systemClock.monotonicMs() + jumpedMs,
    after: (ms, callback) => systemClock.after(ms, callback),
  }
  const core = createCore(resolveConnectOptions(redis.url, {}), clock)
  const tails = new Tails(core)
  const stream = defineStream<number>('doubted')
  const keys = core.keysOf(stream)
  const handled: number[] = []
  const options = resolveConsumerOptions({ name: 'board', leaseMs: 3_000, latencyBudgetMs: 0 })
  const consumer = new Consumer(core, tails, new Pulse(core, keys), stream, options)
  try {
    consumer.start(({ data }) => {
      handled.push(data)
    })
    await consumer.ready
    const before = consumer.inFlight
    // The process was stalled: the lease is over by the clock, but no timer has fired yet.
    jumpedMs = 2_900
    await redis.client().xadd(keys.stream, '*', 'data', '7')
    await waitFor(() => consumer.inFlight > before || handled.length > 0, {
      describe: 'the event to come',
    })
    await waitFor(() => handled.length === 1, { describe: 'the event to be handled' })
    expect(handled).toEqual([7])
  } finally {
    await consumer.close()
    await tails.close()
    core.connections.close()
  }
})
