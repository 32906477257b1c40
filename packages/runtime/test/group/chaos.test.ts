import { setTimeout as delay } from 'node:timers/promises'
import { startFaultProxy, waitFor } from '@millrace/testkit'
import { afterAll, describe, expect, it } from 'vitest'
import type { ConsumerGroup } from '../../src/group/group.ts'
import { GroupTestbed, type Order } from './group-on-redis.ts'

const bed = await GroupTestbed.start()
afterAll(() => bed[Symbol.asyncDispose]())

/** A small generator, so that a run can be repeated by its seed. */
function randomOf(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 0x1_0000_0000) * below)
  }
}

describe('a group whose network, members and server misbehave', () => {
  it.each([1, 2, 3])(
    'handles every event, never the same one twice at once in a member (seed %i)',
    async (seed) => {
      const random = randomOf(seed)
      const stream = bed.stream()
      const key = bed.key(stream)
      await using proxy = await startFaultProxy(bed.server)
      const handled = new Set<string>()
      const overlaps: string[] = []
      const members: ConsumerGroup<Order>[] = []
      const join = (): void => {
        const running = new Set<string>()
        const group = bed.group(
          bed.core({ url: proxy.url, sameHostTakeover: false, deadlineMs: 1_000 }),
          stream,
          {
            name: 'g',
            concurrency: 8,
            leaseMs: 500,
            maxAttempts: 1_000,
            backoff: { firstMs: 5, greatestMs: 50 },
          },
        )
        group.start(async ({ id, data }, { attempt }) => {
          if (running.has(id)) overlaps.push(id)
          running.add(id)
          try {
            if (data.n % 3 === 0) await delay(data.n % 20)
            if (data.n % 10 === 0 && attempt === 1) throw new Error('the first time always fails')
            handled.add(id)
          } finally {
            running.delete(id)
          }
        })
        members.push(group)
      }
      const faults: (() => Promise<unknown> | void)[] = [
        () => {
          proxy.resetAll()
        },
        () => {
          proxy.finAll()
        },
        () => {
          void proxy.dropNextReply((command) => command[0]?.toLowerCase() === 'xreadgroup')
        },
        () => {
          void proxy.dropNextReply((command) => command[0]?.toLowerCase() === 'evalsha')
        },
        () => {
          void proxy.cutReplyAfter(random(2_000))
        },
        () => bed.client.xgroup('DESTROY', key, 'g'),
        () => bed.client.script('FLUSH'),
        () => {
          join()
        },
        async () => {
          if (members.length > 1) await members.shift()?.close({ deadlineMs: random(50) })
        },
        async () => {
          proxy.blackhole('both')
          await delay(700)
          await proxy.heal()
          proxy.resetAll()
        },
      ]
      for (let n = 0; n < 3; n++) join()
      await members[0]?.ready
      const ids: string[] = []
      for (let round = 0; round < 25; round++) {
        ids.push(...(await bed.append(stream, 20 + random(80), round * 100)))
        await faults[random(faults.length)]?.()
        await delay(random(60))
      }
      await proxy.heal()
      await waitFor(() => handled.size === ids.length, {
        describe: 'all events',
      })
      await waitFor(async () => (await bed.pending(stream, 'g')) === 0, {
        describe: 'all to be settled',
      })
      await waitFor(async () => (await bed.consumers(stream, 'g')).length <= members.length, {
        describe: 'the names of the dead to go',
      })
      expect([...handled].toSorted()).toEqual(ids.toSorted())
      expect(overlaps).toEqual([])
      await bed.closeAll()
      expect(await bed.consumers(stream, 'g')).toEqual([])
    },
  )
})
