import { expect, it } from 'vitest'
import { type ClusterNode, createDeliveryRecorder, type RedisCluster, waitFor } from '@millrace/testkit'
import type { EventStream } from '../../src/index.ts'
import { type ConformanceBed, range, type Reading } from './bed.ts'
import { describeConformance } from './describe-conformance.ts'
import { longestSilence, startLoad } from './load.ts'
import { report } from './report.ts'

/** A consumer, a group and a producer at work on one stream while the cluster changes under them. */
async function atWork(bed: ConformanceBed, stream: EventStream<Reading, Reading>) {
  const recorder = createDeliveryRecorder({ order: 'stream' })
  const timesMs: Record<string, number[]> = { board: [], pool: [] }
  const millrace = await bed.open()
  const see = (consumer: string, sequence: number, id: string): void => {
    recorder.record({ id, sequence, consumer })
    timesMs[consumer]?.push(performance.now())
  }
  const consumer = millrace.consumer(stream, { name: 'board' })
  const group = millrace.consumerGroup(stream, { name: 'pool' })
  await consumer.start(({ id, data }) => see('board', data.n, id)).ready
  await group.start(({ id }) => see('pool', 0, id)).ready
  const load = startLoad(await bed.open(), stream)
  /** Waits until everything flows that was published from now on. */
  const flowing = async (): Promise<void> => {
    const from = load.accepted.length
    await waitFor(() => load.accepted.length > from + 5, { describe: 'publishing', timeoutMs: 25_000 })
    const { n } = load.accepted.at(-1) ?? { n: 0 }
    const boards = () => recorder.deliveries.filter((one) => one.consumer === 'board')
    await waitFor(() => (boards().at(-1)?.sequence ?? 0) >= n, { describe: 'the consumer', timeoutMs: 25_000 })
    const before = timesMs['pool']?.length ?? 0
    await waitFor(() => (timesMs['pool']?.length ?? 0) > before, { describe: 'the group', timeoutMs: 25_000 })
  }
  await flowing()
  return {
    load,
    flowing,
    recorder,
    silences: () => ({
      publish: Math.round(longestSilence(load.accepted.map(({ atMs }) => atMs))),
      consumer: Math.round(longestSilence(timesMs['board'] ?? [])),
      group: Math.round(longestSilence(timesMs['pool'] ?? [])),
    }),
    /** What was accepted is in the stream once and in order, and everybody has had it. */
    async account() {
      await load.stop()
      const stored = await bed.stored(stream)
      const there = new Set(stored.map(({ id }) => id))
      const lostByRedis = load.accepted.filter(({ id }) => !there.has(id)).length
      for (const name of ['board', 'pool']) {
        await waitFor(() => recorder.report(stored, { consumer: name }).lost === 0, {
          describe: `everything to reach ${name}`,
        })
      }
      const board = recorder.report(stored, { consumer: 'board' })
      const pool = recorder.report(stored, { consumer: 'pool' })
      return { stored, lostByRedis, failures: load.failures, board, pool }
    },
  }
}

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
      const work = await atWork(bed, stream)
      const from = await cluster.masterOf(slot)
      const others = cluster.nodes.slice(0, 3).filter((node) => node !== from)
      for (const to of [...others, from]) {
        const pauseForSome = (): Promise<unknown> => new Promise((resolve) => setTimeout(resolve, 50))
        await cluster.moveSlot(slot, to, {
          beforeKeys: async () => void (await pauseForSome()),
          afterKeys: async () => void (await pauseForSome()),
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
      const work = await atWork(bed, stream)
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
      const work = await atWork(bed, stream)
      const dead: ClusterNode = await cluster.killMaster(slot)
      bed.onClose(() => dead.restart())
      await cluster.promoted(slot, dead)
      await work.flowing()
      report('master killed', work.silences())
      const { stored, lostByRedis, failures, board } = await work.account()
      report('master killed', { lostByRedis, stored: stored.length, duplicates: board.duplicates })
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
      const work = await atWork(bed, stream)
      const frozen = await cluster.masterOf(slot)
      await frozen.kill('SIGSTOP')
      bed.onClose(() => frozen.kill('SIGCONT'))
      await cluster.promoted(slot, frozen)
      await work.flowing()
      report('master frozen', work.silences())
      await frozen.kill('SIGCONT')
      const { stored, failures, board, lostByRedis } = await work.account()
      report('master frozen', { lostByRedis, stored: stored.length, duplicates: board.duplicates })
      expect(failures).toEqual([])
      const numbers = stored.map(({ n }) => n)
      expect(numbers).toEqual([...new Set(numbers)].toSorted((a, b) => a - b))
      expect(board.outOfOrder).toBe(0)
    })
  },
  { on: ['cluster'] },
)

