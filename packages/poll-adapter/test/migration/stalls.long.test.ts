import { describe, expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { useRedis } from '../open-millrace.ts'
import { accountFor, MovingPoller } from './moving-poller.ts'

const bed = useRedis()

describe('a process that acted, stood still, and wakes up later', () => {
  it.each(['poll', 'stream'] as const)(
    'changes nothing any more once another one acts (%s)',
    async (state) => {
      const moving = await MovingPoller.start(bed, 'exact')
      moving.startLoad(100)
      await waitFor(() => moving.handled().length > 0, {
        describe: 'the first item',
        timeoutMs: 60_000,
      })
      if (state === 'stream') await moving.switchTo('stream')
      for (let n = 0; n < 3; n++) {
        const actor = moving.handled().at(-1)?.pid
        const stopped = moving.pollers.find((child) => String(child.process.pid) === actor)
        stopped?.signal('SIGSTOP')
        await waitFor(
          () => {
            const last = moving.handled().at(-1)?.pid
            return last !== undefined && last !== actor
          },
          { describe: 'another process to act', timeoutMs: 60_000 },
        )
        // Meanwhile the poller goes the other way.
        const other = state === 'stream' ? 'poll' : 'stream'
        await moving.switchTo(other)
        stopped?.signal('SIGCONT')
        await moving.switchTo(state)
      }
      await moving.stopLoad()
      const all = moving.source.all()
      await waitFor(() => accountFor(all, moving.handled()).lost.length === 0, {
        describe: 'everything to be handled',
        timeoutMs: 60_000,
      })
      const { lost, outOfOrder } = accountFor(all, moving.handled())
      expect({ lost, outOfOrder }).toEqual({ lost: [], outOfOrder: [] })
      // What a mode has handled once its successor acts: at most what ran when the process was stopped.
      const handled = moving.handled()
      const late = handled.filter(({ epoch }, i) =>
        handled.slice(0, i).some((line) => line.epoch > epoch),
      )
      expect(late.length).toBeLessThanOrEqual(3)
    },
    120_000,
  )
})
