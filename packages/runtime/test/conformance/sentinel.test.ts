import { expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { channels } from '../../src/index.ts'
import { startWork, type Account } from './at-work.ts'
import { describeConformance } from './describe-conformance.ts'
import { report, reportAccount } from './report.ts'

/** Each event lies in the stream once, in order, and the consumer had what lies there in that order. */
function expectOrder({ stored, board, pool, failures }: Account): void {
  const numbers = stored.map(({ n }) => n)
  expect(numbers).toEqual([...new Set(numbers)].toSorted((a, b) => a - b))
  expect(board).toMatchObject({ lost: 0, outOfOrder: 0 })
  expect(pool).toMatchObject({ lost: 0 })
  expect(failures).toEqual([])
}

describeConformance(
  'A sentinel set that changes under load',
  (bed) => {
    const sentinelOf = () => {
      const { sentinel } = bed.topology
      if (sentinel === undefined) throw new Error('there are no sentinels')
      return sentinel
    }

    it('by a failover that was asked for goes on with the new master', async () => {
      const sentinel = sentinelOf()
      const closed = bed.gather(channels.connectionClosed)
      const work = await startWork(bed, bed.stream())
      await sentinel.failover()
      // The old master would go on taking writes for ten seconds, and lose them all.
      await waitFor(
        () => closed.some(({ reason }) => reason === 'the sentinels replaced the master'),
        { describe: 'the connections to the old master to be closed' },
      )
      await work.flowing()
      report('sentinel failover', work.silences())
      const account = await work.account()
      reportAccount('sentinel failover', account)
      expectOrder(account)
    })

    it('by the death of the master goes on with the new one', async () => {
      const sentinel = sentinelOf()
      const work = await startWork(bed, bed.stream())
      const dead = await sentinel.masterServer()
      await dead.kill('SIGKILL')
      bed.onClose(() => dead.restart())
      await sentinel.promoted(dead)
      await work.flowing()
      report('sentinel master killed', work.silences())
      const account = await work.account()
      reportAccount('sentinel master killed', account)
      expectOrder(account)
    })

    it('by a sentinel that stands still goes on, and new connections find the master', async () => {
      const sentinel = sentinelOf()
      const work = await startWork(bed, bed.stream())
      const [first] = sentinel.sentinelServers
      await first?.kill('SIGSTOP')
      bed.onClose(() => first?.kill('SIGCONT'))
      await bed.cutConnections()
      await work.flowing()
      const account = await work.account()
      expect(account.lostByRedis).toBe(0)
      expectOrder(account)
    })

    it('by a master that stands still loses nothing that was answered where it needs a replica to write', async () => {
      const sentinel = sentinelOf()
      for (const server of sentinel.servers.filter(({ running }) => running)) {
        await server.client().config('SET', 'min-replicas-to-write', '1')
        await server.client().config('SET', 'min-replicas-max-lag', '1')
        bed.onClose(async () => server.client().config('SET', 'min-replicas-to-write', '0'))
      }
      const work = await startWork(bed, bed.stream())
      const frozen = await sentinel.masterServer()
      await frozen.kill('SIGSTOP')
      bed.onClose(() => frozen.kill('SIGCONT'))
      await sentinel.promoted(frozen)
      await work.flowing()
      report('sentinel master frozen', work.silences())
      await frozen.kill('SIGCONT')
      await work.flowing()
      const account = await work.account()
      reportAccount('sentinel master frozen', account)
      expect(account.lostByRedis).toBe(0)
      expectOrder(account)
    })
  },
  { on: ['sentinel'] },
)
