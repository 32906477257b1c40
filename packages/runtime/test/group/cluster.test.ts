import { startCluster, waitFor } from '@millrace/testkit'
import { afterAll, describe, expect, it } from 'vitest'
import { resolveConnectOptions } from '../../src/connection/options.ts'
import { createCore } from '../../src/core.ts'
import { ConsumerGroup } from '../../src/group/group.ts'
import { defineStream } from '../../src/stream/define-stream.ts'

const cluster = await startCluster()
afterAll(() => cluster[Symbol.asyncDispose]())

let streams = 0

describe('a group in a cluster', () => {
  it('follows its slot to another master and over a failover, and handles every event', async () => {
    const name = `orders-${++streams}`
    const stream = defineStream<{ n: number }>(name)
    const key = `mr:{${name}}${name}`
    const slot = await cluster.slotOf(key)
    const ids: string[] = []
    const append = async (count: number): Promise<void> => {
      const client = (await cluster.masterOf(slot)).client()
      for (let i = 0; i < count; i++) {
        ids.push(String(await client.xadd(key, '*', 'data', JSON.stringify({ n: ids.length }))))
      }
    }
    const seen = new Set<string>()
    const cores = [1, 2].map(() =>
      createCore(resolveConnectOptions({ cluster: cluster.seeds }, { blockMs: 500 })),
    )
    const groups = cores.map((core) => {
      const group = new ConsumerGroup(core, stream, { name: 'g', concurrency: 4 })
      return group.start(async ({ id }) => {
        await Promise.resolve()
        seen.add(id)
      })
    })
    const all = async (what: string): Promise<void> => {
      await waitFor(() => seen.size === ids.length, { describe: what })
    }
    try {
      await append(100)
      await all('the events before')
      const source = await cluster.masterOf(slot)
      const target = (await cluster.masters()).find((node) => node.id !== source.id)
      if (target === undefined) throw new Error('a cluster of one master')
      await cluster.moveSlot(slot, target, { beforeKeys: () => append(20) })
      await append(100)
      await all('the events after the slot has moved')
      await cluster.failover(slot)
      await append(100)
      await all('the events after the failover')
      expect([...seen].toSorted()).toEqual(ids.toSorted())
      const client = (await cluster.masterOf(slot)).client()
      await waitFor(async () => ((await client.xpending(key, 'g')) as [number])[0] === 0, {
        describe: 'all to be settled',
      })
      await Promise.all(groups.map((group) => group.close()))
      expect(await client.xinfo('CONSUMERS', key, 'g')).toEqual([])
    } finally {
      await Promise.all(groups.map((group) => group.close({ deadlineMs: 0 })))
      for (const core of cores) core.connections.close()
    }
  })
})
