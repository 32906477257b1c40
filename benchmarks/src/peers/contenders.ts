/** One library of the comparison. */
export interface Contender {
  readonly program: URL
  readonly broker: BrokerName
  /** How many events it is given at once, as a share of the run's size: the slow would take very long. */
  readonly share: number
  /** What it is compared with: ours over the same number of events. */
  readonly against: string
}

export type BrokerName = 'nats' | 'rabbitmq' | 'redis'

/** Of ours, the one that is given as many events as the slower libraries are. */
export const OURS = 'millrace'
export const OURS_FEWER = 'millrace_fewer_events'

export const contenders: Readonly<Record<string, Contender>> = {
  [OURS]: {
    program: new URL('clients/millrace.ts', import.meta.url),
    broker: 'redis',
    share: 1,
    against: OURS,
  },
  floor: {
    program: new URL('clients/ioredis.ts', import.meta.url),
    broker: 'redis',
    share: 1,
    against: OURS,
  },
  node_redis: {
    program: new URL('clients/node-redis.ts', import.meta.url),
    broker: 'redis',
    share: 1,
    against: OURS,
  },
  nats_jetstream: {
    program: new URL('clients/nats-jetstream.ts', import.meta.url),
    broker: 'nats',
    share: 1,
    against: OURS,
  },
  rabbitmq_streams: {
    program: new URL('clients/rabbitmq-streams.ts', import.meta.url),
    broker: 'rabbitmq',
    share: 1,
    against: OURS,
  },
  [OURS_FEWER]: {
    program: new URL('clients/millrace.ts', import.meta.url),
    broker: 'redis',
    share: 0.2,
    against: OURS_FEWER,
  },
  bullmq: {
    program: new URL('clients/bullmq.ts', import.meta.url),
    broker: 'redis',
    share: 0.2,
    against: OURS_FEWER,
  },
  moleculer_channels: {
    program: new URL('clients/moleculer-channels.ts', import.meta.url),
    broker: 'redis',
    share: 0.2,
    against: OURS_FEWER,
  },
  redis_smq: {
    program: new URL('clients/redis-smq.ts', import.meta.url),
    broker: 'redis',
    share: 0.05,
    against: OURS_FEWER,
  },
}
