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
  [OURS]: { program: client('millrace'), broker: 'redis', share: 1, against: OURS },
  floor: { program: client('ioredis'), broker: 'redis', share: 1, against: OURS },
  node_redis: { program: client('node-redis'), broker: 'redis', share: 1, against: OURS },
  nats_jetstream: { program: client('nats-jetstream'), broker: 'nats', share: 1, against: OURS },
  rabbitmq_streams: {
    program: client('rabbitmq-streams'),
    broker: 'rabbitmq',
    share: 1,
    against: OURS,
  },
  [OURS_FEWER]: { program: client('millrace'), broker: 'redis', share: 0.2, against: OURS_FEWER },
  bullmq: { program: client('bullmq'), broker: 'redis', share: 0.2, against: OURS_FEWER },
  moleculer_channels: {
    program: client('moleculer-channels'),
    broker: 'redis',
    share: 0.2,
    against: OURS_FEWER,
  },
  redis_smq: { program: client('redis-smq'), broker: 'redis', share: 0.05, against: OURS_FEWER },
}

function client(name: string): URL {
  return new URL(`clients/${name}.ts`, import.meta.url)
}
