import { type RedisCluster, startCluster } from '@millrace/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { resolveConnectOptions } from '../../src/connection/options.ts'
import { type Core, createCore } from '../../src/core.ts'
import { Producer } from '../../src/producer/producer.ts'
import { defineStream } from '../../src/stream/define-stream.ts'
import { numbers, payloadsOf } from './rig.ts'

describe('a producer in a cluster', () => {
  let cluster: RedisCluster
  let core: Core
  let streams = 0

  beforeAll(async () => {
    cluster = await startCluster()
    core = createCore(resolveConnectOptions({ cluster: cluster.seeds }, { deadlineMs: 60_000 }))
  })
  afterAll(async () => {
    core.connections.close()
    await cluster[Symbol.asyncDispose]()
  })

  /** Publishes until the change is made and a little longer, and expects all of it once and in order. */
  async function expectNothingLost(
    title: string,
    change: (slot: number) => Promise<unknown>,
  ): Promise<void> {
    const name = `${title}-${++streams}`
    const key = `mr:{${name}}${name}`
    await using producer = new Producer(core, defineStream<{ n: number }>(name))
    await producer.publish({ n: 0 })
    const slot = await cluster.slotOf(key)
    const changed = new AbortController()
    const changing = change(slot).finally(() => {
      changed.abort()
    })
    // It is waited for in the end; until then its failure is nobody's.
    changing.catch(() => undefined)
    let published = 1
    let after = 0
    const inFlight: Promise<unknown>[] = []
    while (after < 5) {
      if (changed.signal.aborted) after++
      const more = Array.from({ length: 600 }, () => ({ n: published++ }))
      inFlight.push(producer.publishMany(more))
      if (inFlight.length >= 4) await inFlight.shift()
    }
    await Promise.all(inFlight)
    await changing
    const master = await cluster.masterOf(slot)
    expect(await payloadsOf(master.client(), key)).toEqual(numbers(published))
  }

  it('keeps order and loses nothing while its slot moves to another node', async () => {
    await expectNothingLost('moving', async (slot) => {
      const from = await cluster.masterOf(slot)
      const to = (await cluster.masters()).find((node) => node.id !== from.id)
      if (to === undefined) throw new Error('there are three masters')
      await cluster.moveSlot(slot, to)
    })
  })

  it('keeps order and loses nothing over an orderly failover', async () => {
    await expectNothingLost('failing-over', (slot) => cluster.failover(slot))
  })
})
