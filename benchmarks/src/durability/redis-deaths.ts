import { setTimeout as sleep } from 'node:timers/promises'
import type { DurabilityOptions } from '@millrace/runtime'
import {
  type FaultProxy,
  type RedisServer,
  startFaultProxy,
  startRedis,
  waitFor,
} from '@millrace/testkit'
import { startProgram } from '../harness/program-process.ts'
import type { Figures } from '../harness/samples.ts'
import type { Place } from '../harness/workbench.ts'
import type { Confirmed, DurabilityProgram } from './program.ts'

/** A Redis that is killed under load, and what takes over or comes back. */
export interface RedisDeath {
  readonly name: string
  readonly args: readonly string[]
  /** Whether a replica is promoted; otherwise the server is started again. */
  readonly hasReplica: boolean
  readonly durability?: DurabilityOptions
}

export const redisDeaths: readonly RedisDeath[] = [
  { name: 'no_persistence', args: [], hasReplica: false },
  { name: 'rdb', args: ['--save', '1 1'], hasReplica: false },
  {
    name: 'aof_everysec',
    args: ['--appendonly', 'yes', '--appendfsync', 'everysec'],
    hasReplica: false,
  },
  {
    name: 'aof_always',
    args: ['--appendonly', 'yes', '--appendfsync', 'always'],
    hasReplica: false,
  },
  { name: 'replica', args: [], hasReplica: true },
  {
    name: 'min_replicas_to_write',
    args: ['--min-replicas-to-write', '1', '--min-replicas-max-lag', '1'],
    hasReplica: true,
  },
  {
    name: 'replica_waited_for',
    args: [],
    hasReplica: true,
    durability: { replicas: 1, timeoutMs: 60_000 },
  },
]

const PREFIX = 'bench:'
/** Each way, so that what is confirmed and what the replica has differ. */
const REPLICA_DELAY_MS = 20

const publisherFile = new URL('publish.ts', import.meta.url)

export async function measureRedisDeath(death: RedisDeath, loadMs: number): Promise<Figures> {
  await using redis = await startRedis({ args: death.args })
  return await (death.hasReplica ? failedOver : startedAgain)(redis, death, loadMs)
}

async function startedAgain(
  redis: RedisServer,
  death: RedisDeath,
  loadMs: number,
): Promise<Figures> {
  const place = { url: redis.url, prefix: PREFIX }
  await using publisher = startProgram<DurabilityProgram>(publisherFile)
  await publisher.ask('begin', { place, producer: producerOf(death) })
  await sleep(varied(loadMs))
  await redis.kill('SIGKILL')
  const confirmed = await publisher.ask('cutOff', null)
  await redis.restart()
  return figuresOf(confirmed, await publisher.ask('missingAt', place))
}

async function failedOver(
  primary: RedisServer,
  death: RedisDeath,
  loadMs: number,
): Promise<Figures> {
  await using link = await startFaultProxy(primary)
  await using replica = await replicaBehind(link, primary)
  link.latencyMs = REPLICA_DELAY_MS
  await using publisher = startProgram<DurabilityProgram>(publisherFile)
  const place = { url: primary.url, prefix: PREFIX }
  await publisher.ask('begin', { place, producer: producerOf(death) })
  await sleep(varied(loadMs))
  await primary.kill('SIGKILL')
  const confirmed = await publisher.ask('cutOff', null)
  link.resetAll()
  await replica.client().replicaof('NO', 'ONE')
  const promoted: Place = { url: replica.url, prefix: PREFIX }
  return figuresOf(confirmed, await publisher.ask('missingAt', promoted))
}

/** A replica that has caught up. */
async function replicaBehind(link: FaultProxy, primary: RedisServer): Promise<RedisServer> {
  const replica = await startRedis({ args: ['--replicaof', link.host, String(link.port)] })
  const says = async (server: RedisServer, word: string): Promise<boolean> =>
    (await server.client().info('replication')).includes(word)
  await waitFor(() => says(replica, 'master_link_status:up'), {
    describe: 'the replica to be linked',
  })
  await waitFor(() => says(primary, 'state=online'), { describe: 'the replica to be online' })
  return replica
}

function producerOf({ durability }: RedisDeath): { durability?: DurabilityOptions } {
  return durability === undefined ? {} : { durability }
}

/** Snapshots and flushes come at their own times, so the end must not come at the same point of them. */
function varied(loadMs: number): number {
  return loadMs * (0.75 + Math.random() / 2)
}

function figuresOf({ events, perSecond }: Confirmed, lost: number): Figures {
  return { confirmed: events, perSecond, lost }
}
