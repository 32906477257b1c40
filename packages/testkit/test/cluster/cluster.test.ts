import { Cluster } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type RedisCluster, startCluster, waitFor } from '../../src/index.ts'
import { isRunning } from '../processes.ts'

let cluster: RedisCluster
let client: Cluster

beforeAll(async () => {
  cluster = await startCluster()
  client = new Cluster([...cluster.seeds])
  client.on('error', () => {})
})

afterAll(async () => {
  client.disconnect()
  const pids = cluster.nodes.map((node) => node.pid)
  await cluster[Symbol.asyncDispose]()
  await waitFor(() => !pids.some(isRunning), {
    describe: `the processes ${pids.join(', ')} to be gone`,
  })
})

test('a new cluster serves every slot, and every node knows every replica', async () => {
  expect(cluster.nodes.length).toBe(6)
  for (let n = 0; n < 100; n += 1) expect(await client.set(`key${n}`, n)).toBe('OK')
  for (const node of cluster.nodes) {
    const known = (await node.client().call('CLUSTER', 'NODES')) as string
    expect(known.match(/ (?:myself,)?slave /g)?.length).toBe(3)
  }
  expect((await cluster.replicasOf(0)).length).toBe(1)
})

test('a slot moves with its keys while clients go on, and is asked for on the way', async () => {
  const slot = await cluster.slotOf('{moving}0')
  for (let n = 0; n < 250; n += 1) await client.set(`{moving}${n}`, n)
  const from = await cluster.masterOf(slot)
  const masters = await Promise.all([0, 6000, 12_000].map((one) => cluster.masterOf(one)))
  const to = masters.find((node) => node.id !== from.id)
  if (!to) throw new Error('the cluster has one master only')
  const onTheWay: string[] = []
  await cluster.moveSlot(slot, to, {
    afterKeys: async () => {
      onTheWay.push((await from.client().get('{moving}7').catch(String)) ?? 'nothing')
      onTheWay.push((await client.get('{moving}7')) ?? 'nothing')
    },
  })
  expect(onTheWay).toEqual([`ReplyError: ASK ${slot} ${to.host}:${to.port}`, '7'])
  expect((await cluster.masterOf(slot)).id).toBe(to.id)
  await expect(from.client().get('{moving}7')).rejects.toThrow(
    `MOVED ${slot} ${to.host}:${to.port}`,
  )
  const values = await Promise.all(
    Array.from({ length: 250 }, (_, n) => client.get(`{moving}${n}`)),
  )
  expect(values).toEqual(Array.from({ length: 250 }, (_, n) => String(n)))
})

test('an orderly failover swaps master and replica and loses nothing', async () => {
  const slot = await cluster.slotOf('kept')
  await client.set('kept', 'value')
  const old = await cluster.masterOf(slot)
  const promoted = await cluster.failover(slot)
  expect(promoted.id).not.toBe(old.id)
  expect((await cluster.masterOf(slot)).id).toBe(promoted.id)
  expect(await client.get('kept')).toBe('value')
})

test('a killed master is replaced by its replica, and comes back as one', async () => {
  // Another shard than that of the failover above, after which a second vote has to wait.
  const busy = await cluster.masterOf(await cluster.slotOf('kept'))
  const masters = await Promise.all([0, 6000, 12_000].map((slot) => cluster.masterOf(slot)))
  const slot = [0, 6000, 12_000][masters.findIndex((node) => node.id !== busy.id)] ?? 0
  const killed = await cluster.killMaster(slot)
  expect(killed.running).toBe(false)
  const promoted = await cluster.promoted(slot, killed)
  expect(promoted.id).not.toBe(killed.id)
  await killed.restart()
  await waitFor(
    async () => (await cluster.replicasOf(slot)).some((node) => node.id === killed.id),
    {
      describe: 'the killed master to come back as a replica',
    },
  )
})
