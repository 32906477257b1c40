import { type Fault, sentinel, type SentinelStage } from './fault.ts'

/** Longer than Sentinel's patience, shorter than until a frozen master is noticed to be none. */
const FROZEN_MS = 4_000

/** Failovers by Sentinel, with ordinary settings and with those that the documentation calls safe. */
export const sentinelFaults: readonly Fault[] = [
  sentinel({
    name: 'sentinel-failover',
    about: 'SENTINEL FAILOVER: the master is replaced in the orderly way',
    forgets: 'expected',
    async inject({ bed }) {
      await bed.set.failover()
    },
  }),
  sentinel({
    name: 'sentinel-master-killed',
    about: 'kill -9 of the master; Sentinel promotes a replica',
    short: true,
    forgets: 'expected',
    inject: killMaster,
  }),
  sentinel({
    name: 'sentinel-master-killed-safe',
    about: 'the same, with min-replicas-to-write 1',
    forgets: 'refused',
    async inject(stage) {
      await stage.bed.configure('min-replicas-to-write', '1')
      await killMaster(stage)
    },
  }),
  sentinel({
    name: 'sentinel-master-frozen',
    about: 'SIGSTOP of the master until after a replica was promoted, then SIGCONT: two masters',
    forgets: 'expected',
    inject: freezeMaster,
  }),
  sentinel({
    name: 'sentinel-master-frozen-safe',
    about: 'the same, with min-replicas-to-write 1: the old master’s replicas have left it',
    forgets: 'refused',
    async inject(stage) {
      await stage.bed.configure('min-replicas-to-write', '1')
      await freezeMaster(stage)
    },
  }),
]

async function killMaster({ bed, afterwards }: SentinelStage): Promise<void> {
  const old = await bed.set.masterServer()
  await old.kill('SIGKILL')
  await bed.set.promoted(old)
  afterwards.defer(() => old.restart())
}

async function freezeMaster({ bed, pause }: SentinelStage): Promise<void> {
  const old = await bed.set.masterServer()
  await old.kill('SIGSTOP')
  try {
    await bed.set.promoted(old)
    await pause(FROZEN_MS)
  } finally {
    await old.kill('SIGCONT')
  }
}
