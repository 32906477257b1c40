import { expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { resolveConnectOptions } from '../../src/connection/options.ts'
import { Consumer } from '../../src/consumer/consumer.ts'
import { resolveConsumerOptions } from '../../src/consumer/options.ts'
import { Pulse } from '../../src/consumer/pulse.ts'
import { createCore } from '../../src/core.ts'
import { formatHost, identifyHost } from '../../src/lease/host.ts'
import { type Clock, systemClock } from '../../src/lifecycle/clock.ts'
import { Tails } from '../../src/tail/tails.ts'
import { range, useRedis } from '../open-millrace.ts'

const bed = useRedis()

it.each([
  ['after a holder died', true],
  ['after an orderly start', false],
])(
  'a consumer goes on by itself after its process stood still for a lease, %s',
  async (_when, unclean) => {
    const stream = bed.stream()
    await bed.append(stream, 400)
    const key = bed.key(stream)
    if (unclean) {
      const here = identifyHost()
      if (here === undefined) throw new Error('this system does not tell')
      await bed.redis.hset(`${key}:meta`, {
        incarnation: 'first',
        format: 1,
        partitions: 1,
        tag: stream.name,
      })
      await bed.redis.hset(`${key}:state:board`, {
        kind: 'consumer',
        incarnation: 'first',
        position: '0-0',
        token: '1-dead',
        counter: 1,
        beat: 3,
        leaseMs: 2_000,
        released: 0,
        holder: formatHost({ ...here, pid: 2 ** 22 + 1 }),
      })
    }
    // A clock that jumps: what timers that run late after a stall look like.
    let jumpedMs = 0
    const clock: Clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + jumpedMs }
    const core = createCore(resolveConnectOptions(bed.server.url, { blockMs: 500 }), clock)
    const tails = new Tails(core)
    const handled: number[] = []
    const consumer = new Consumer(
      core,
      tails,
      new Pulse(core, core.keysOf(stream)),
      stream,
      resolveConsumerOptions({ name: 'board', leaseMs: 2_000, checkpointEvery: 64 }),
    ).start(({ data }) => {
      handled.push(data.n)
      if (data.n === 63) jumpedMs = 2_100
    })
    bed.onClose(async () => {
      await consumer.close()
      await tails.close()
      core.connections.close()
    })
    await waitFor(() => handled.at(-1) === 399, { describe: 'all events' })
    expect([...new Set(handled)]).toEqual(range(400))
  },
)
