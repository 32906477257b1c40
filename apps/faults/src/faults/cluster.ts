import type { ClusterNode } from '@millrace/testkit'
import { cluster, type ClusterStage, type Fault } from './fault.ts'

/** The bound for a killed master, with a node timeout of two seconds. */
const PROMOTION_MS = 8_000

/** What happens to the part of a cluster that has the stream. */
export const clusterFaults: readonly Fault[] = [
  cluster({
    name: 'cluster-master-killed',
    about: 'kill -9 of the master that has the stream; its replica is promoted',
    short: true,
    forgets: 'expected',
    bound: { until: 'flow', ms: PROMOTION_MS },
    inject: killMaster,
  }),
  cluster({
    name: 'cluster-master-killed-safe',
    about: 'the same, with min-replicas-to-write 1; the killed node comes back as a replica',
    forgets: 'refused',
    async inject({ bed, keys }) {
      await bed.configure('min-replicas-to-write', '1')
      const slot = await bed.cluster.slotOf(keys.stream)
      const master = await bed.cluster.killMaster(slot)
      await bed.cluster.promoted(slot, master)
      // With one replica for each master, nothing may be written before there is one again.
      await master.restart()
    },
  }),
  cluster({
    name: 'cluster-failover',
    about: 'CLUSTER FAILOVER: master and replica change places in the orderly way',
    short: true,
    async inject({ bed, keys }) {
      await bed.cluster.failover(await bed.cluster.slotOf(keys.stream))
    },
  }),
  cluster({
    name: 'cluster-slot-moved',
    about: 'the stream’s slot is moved to another master and back',
    short: true,
    async inject(stage) {
      const { slot, owner, other } = await whereabouts(stage)
      await stage.bed.cluster.moveSlot(slot, other)
      await stage.pause(500)
      await stage.bed.cluster.moveSlot(slot, owner)
    },
  }),
  cluster({
    name: 'cluster-slot-moved-slowly',
    about: 'the slot is moved with a pause of 1 s before and after its keys: redirections by ASK',
    async inject(stage) {
      const { pause, bed } = stage
      const { slot, other } = await whereabouts(stage)
      const linger = (): Promise<void> => pause(1_000)
      await bed.cluster.moveSlot(slot, other, { beforeKeys: linger, afterKeys: linger })
    },
  }),
  cluster({
    name: 'cluster-master-frozen',
    about: 'SIGSTOP of the master until its replica was promoted, then SIGCONT',
    forgets: 'expected',
    async inject({ bed, keys }) {
      const slot = await bed.cluster.slotOf(keys.stream)
      const master = await bed.cluster.masterOf(slot)
      await master.kill('SIGSTOP')
      try {
        await bed.cluster.promoted(slot, master)
      } finally {
        await master.kill('SIGCONT')
      }
    },
  }),
]

/** The end of this fault is the kill: what is measured includes the promotion. */
async function killMaster({ bed, keys, afterwards }: ClusterStage): Promise<void> {
  const slot = await bed.cluster.slotOf(keys.stream)
  const master = await bed.cluster.killMaster(slot)
  afterwards.defer(async () => {
    await bed.cluster.promoted(slot, master)
    await master.restart()
  })
}

interface Whereabouts {
  readonly slot: number
  readonly owner: ClusterNode
  readonly other: ClusterNode
}

async function whereabouts({ bed, keys }: ClusterStage): Promise<Whereabouts> {
  const slot = await bed.cluster.slotOf(keys.stream)
  const owner = await bed.cluster.masterOf(slot)
  for (const node of bed.cluster.nodes) {
    const isMaster = (await node.client().info('replication')).includes('role:master')
    if (node !== owner && node.running && isMaster) return { slot, owner, other: node }
  }
  throw new Error('the cluster has only one master')
}
