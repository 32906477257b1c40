import { setTimeout as delay } from 'node:timers/promises'
import { expect, it } from 'vitest'
import type { ClusterNode, RedisCluster } from '@millrace/testkit'
import { startWork } from './at-work.ts'
import { range } from './bed.ts'
import { describeConformance } from './describe-conformance.ts'
import { report, reportAccount } from './report.ts'

const STATE_LASTS_MS = 50

/** MIGRATE keeps its connection to the other master for some seconds; the check for leaks would see it. */
async function forgetMigrations(cluster: RedisCluster): Promise<void> {
  for (const node of cluster.nodes) {
    const clients = String(await node.client().client('LIST')).split('\n')
    for (const client of clients.filter((line) => line.includes(' cmd=restore-asking '))) {
      const id = /^id=(\d+)/.exec(client)?.[1] ?? ''
      await node.client().call('CLIENT', 'KILL', 'ID', id)
    }
  }
}

describeConformance(
  'A cluster that changes under load',
  (bed) => {
    const clusterOf = () => {
      const { cluster } = bed.topology
      if (cluster === undefined) throw new Error('this is no cluster')
      return cluster
    }

    it('by the move of the slot to another master loses and repeats nothing', async () => {
      const cluster = clusterOf()
      const stream = bed.stream()
      const slot = await cluster.slotOf(bed.key(stream))
      const work = await startWork(bed, stream)
      const from = await cluster.masterOf(slot)
      const others = (await cluster.masters()).filter((node) => node !== from)
      for (const to of [...others, from]) {
        // Each state of the move lasts so long that everybody meets it.
        await cluster.moveSlot(slot, to, {
          beforeKeys: () => delay(STATE_LASTS_MS),
          afterKeys: () => delay(STATE_LASTS_MS),
        })
        await work.flowing()
      }
      report('slot moves', work.silences())
      await forgetMigrations(cluster)
      const { stored, lostByRedis, failures, board, pool } = await work.account()
      expect({ lostByRedis, failures }).toEqual({ lostByRedis: 0, failures: [] })
      expect(stored.map(({ n }) => n)).toEqual(range(stored.length))
      expect(board).toMatchObject({ outOfOrder: 0, duplicates: 0 })
      expect(pool).toMatchObject({ lost: 0 })
    })

    it('by a manual failover loses and repeats nothing', async () => {
      const cluster = clusterOf()
      const stream = bed.stream()
      const slot = await cluster.slotOf(bed.key(stream))
      const work = await startWork(bed, stream)
      await cluster.failover(slot)
      await work.flowing()
      report('manual failover', work.silences())
      const { stored, lostByRedis, failures, board } = await work.account()
      expect({ lostByRedis, failures }).toEqual({ lostByRedis: 0, failures: [] })
      expect(stored.map(({ n }) => n)).toEqual(range(stored.length))
      expect(board).toMatchObject({ outOfOrder: 0, duplicates: 0 })
    })

    it('by the death of a master goes on with its replica', async () => {
      const cluster = clusterOf()
      const stream = bed.stream()
      const slot = await cluster.slotOf(bed.key(stream))
      const work = await startWork(bed, stream)
      const dead: ClusterNode = await cluster.killMaster(slot)
      bed.onClose(() => dead.restart())
      await cluster.promoted(slot, dead)
      await work.flowing()
      report('master killed', work.silences())
      const account = await work.account()
      const { stored, failures, board } = account
      reportAccount('master killed', account)
      expect(failures).toEqual([])
      // Only what Redis had not replicated may be missing, and each event lies there once.
      const numbers = stored.map(({ n }) => n)
      expect(numbers).toEqual([...new Set(numbers)].toSorted((a, b) => a - b))
      expect(board.outOfOrder).toBe(0)
    })

    it('by a master that stands still goes on with its replica', async () => {
      const cluster = clusterOf()
      const stream = bed.stream()
      const slot = await cluster.slotOf(bed.key(stream))
      const work = await startWork(bed, stream)
      const frozen = await cluster.masterOf(slot)
      await frozen.kill('SIGSTOP')
      bed.onClose(() => frozen.kill('SIGCONT'))
      await cluster.promoted(slot, frozen)
      await work.flowing()
      report('master frozen', work.silences())
      await frozen.kill('SIGCONT')
      const account = await work.account()
      const { stored, failures, board } = account
      reportAccount('master frozen', account)
      expect(failures).toEqual([])
      const numbers = stored.map(({ n }) => n)
      expect(numbers).toEqual([...new Set(numbers)].toSorted((a, b) => a - b))
      expect(board.outOfOrder).toBe(0)
    })
  },
  { on: ['cluster'] },
)
