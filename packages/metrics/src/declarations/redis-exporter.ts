import type { Declaration } from './declaration.ts'

const STREAM = ['db', 'stream'] as const
const GROUP = ['db', 'stream', 'group'] as const
const CONSUMER = ['db', 'stream', 'group', 'consumer'] as const

export type RedisExporterMetric =
  | 'streamLength'
  | 'streamGroups'
  | 'streamRadixKeys'
  | 'streamRadixNodes'
  | 'streamFirstEntryId'
  | 'streamLastEntryId'
  | 'streamLastGeneratedId'
  | 'streamMaxDeletedId'
  | 'streamEntriesAdded'
  | 'groupConsumers'
  | 'groupPending'
  | 'groupRedisLag'
  | 'groupEntriesRead'
  | 'groupLastDeliveredId'
  | 'consumerPending'
  | 'consumerIdle'

/**
 * The stream metrics of redis_exporter, with its names and labels, so that dashboards made for it work
 * with the fleet exporter. `db` is `db0`, `stream` is the key.
 */
export const redisExporterMetrics: Readonly<Record<RedisExporterMetric, Declaration>> = {
  streamLength: {
    source: 'fleet',
    name: 'redis_stream_length',
    type: 'gauge',
    unit: 'events',
    labels: STREAM,
    meaning: 'The number of entries of the stream',
    worry: '',
  },
  streamGroups: {
    source: 'fleet',
    name: 'redis_stream_groups',
    type: 'gauge',
    unit: 'groups',
    labels: STREAM,
    meaning: 'The number of consumer groups of the stream; each Consumer has one as its image',
    worry: '',
  },
  streamRadixKeys: {
    source: 'fleet',
    name: 'redis_stream_radix_tree_keys',
    type: 'gauge',
    unit: 'id',
    labels: STREAM,
    meaning: 'Keys of the radix tree that holds the stream',
    worry: '',
  },
  streamRadixNodes: {
    source: 'fleet',
    name: 'redis_stream_radix_tree_nodes',
    type: 'gauge',
    unit: 'id',
    labels: STREAM,
    meaning: 'Nodes of the radix tree that holds the stream',
    worry: '',
  },
  streamFirstEntryId: {
    source: 'fleet',
    name: 'redis_stream_first_entry_id',
    type: 'gauge',
    unit: 'id',
    labels: STREAM,
    meaning: 'The milliseconds in the id of the first entry',
    worry: '',
  },
  streamLastEntryId: {
    source: 'fleet',
    name: 'redis_stream_last_entry_id',
    type: 'gauge',
    unit: 'id',
    labels: STREAM,
    meaning: 'The milliseconds in the id of the last entry',
    worry: 'When it stands still although events are published.',
  },
  streamLastGeneratedId: {
    source: 'fleet',
    name: 'redis_stream_last_generated_id',
    type: 'gauge',
    unit: 'id',
    labels: STREAM,
    meaning: 'The milliseconds in the last id that was given',
    worry: '',
  },
  streamMaxDeletedId: {
    source: 'fleet',
    name: 'redis_stream_max_deleted_entry_id',
    type: 'gauge',
    unit: 'id',
    labels: STREAM,
    meaning: 'The milliseconds in the greatest id that was removed by XDEL, 0 without one',
    worry:
      'When it rises although nobody is to use XDEL: what was deleted unread is lost without a word.',
  },
  streamEntriesAdded: {
    source: 'fleet',
    name: 'redis_stream_entries_added_total',
    type: 'counter',
    unit: 'events',
    labels: STREAM,
    meaning: 'Entries that were ever added to the stream',
    worry: 'When its rate falls to 0 although events are published.',
  },
  groupConsumers: {
    source: 'fleet',
    name: 'redis_stream_group_consumers',
    type: 'gauge',
    unit: 'members',
    labels: GROUP,
    meaning: 'Redis consumers of the group; always 0 for the image of a Consumer',
    worry: '',
  },
  groupPending: {
    source: 'fleet',
    name: 'redis_stream_group_messages_pending',
    type: 'gauge',
    unit: 'events',
    labels: GROUP,
    meaning: 'Entries that were handed out and not acked',
    worry: 'When it grows: members take more than they finish.',
  },
  groupRedisLag: {
    source: 'fleet',
    name: 'redis_stream_group_lag',
    type: 'gauge',
    unit: 'events',
    labels: GROUP,
    meaning:
      'Entries after the position of the group: the same figure as millrace_group_lag_events, where redis_exporter shows what Redis says',
    worry: 'As there.',
  },
  groupEntriesRead: {
    source: 'fleet',
    name: 'redis_stream_group_entries_read',
    type: 'gauge',
    unit: 'events',
    labels: GROUP,
    meaning: 'Redis’ own count of what the group has read, 0 where it does not know',
    worry: '',
  },
  groupLastDeliveredId: {
    source: 'fleet',
    name: 'redis_stream_group_last_delivered_id',
    type: 'gauge',
    unit: 'id',
    labels: GROUP,
    meaning: 'The milliseconds in the id of the position',
    worry: 'When it stands still while there is lag.',
  },
  consumerPending: {
    source: 'fleet',
    name: 'redis_stream_group_consumer_messages_pending',
    type: 'gauge',
    unit: 'events',
    labels: CONSUMER,
    meaning: 'Entries that were handed to a Redis consumer and not acked',
    worry: '',
  },
  consumerIdle: {
    source: 'fleet',
    name: 'redis_stream_group_consumer_idle_seconds',
    type: 'gauge',
    unit: 'seconds',
    labels: CONSUMER,
    meaning: 'For how long a Redis consumer has not read',
    worry: 'Not alone: a member that waits for events is idle on Redis 7.0. Go by the verdict.',
  },
}
