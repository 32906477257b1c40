import type { Declaration } from './declaration.ts'
import { type RedisExporterMetric, redisExporterMetrics } from './redis-exporter.ts'

const STREAM = ['db', 'stream'] as const
const GROUP = ['db', 'stream', 'group'] as const

export type FleetMetric =
  | RedisExporterMetric
  | 'streamInfo'
  | 'streamBytes'
  | 'streamOldestAge'
  | 'streamRetention'
  | 'groupLag'
  | 'groupLagKnown'
  | 'groupLagAge'
  | 'groupOldestPendingAge'
  | 'groupPendingByDeliveries'
  | 'groupDeadLetters'
  | 'groupDeadLetterAge'
  | 'groupRedriving'
  | 'groupExpired'
  | 'groupMembers'
  | 'groupHeadroom'
  | 'groupVerdict'
  | 'memoryUsed'
  | 'memoryLimit'
  | 'up'
  | 'scrapeCommands'
  | 'scrapeDuration'
  | 'scrapeErrors'
  | 'streams'
  | 'groupsSkipped'
  | 'detailsAge'

/** Everything that the fleet exporter shows. `stream` is always the key in Redis. */
export const fleetMetrics: Readonly<Record<FleetMetric, Declaration>> = {
  ...redisExporterMetrics,
  streamInfo: {
    source: 'fleet',
    name: 'millrace_stream_info',
    type: 'gauge',
    unit: 'state',
    labels: ['db', 'stream', 'name'],
    meaning: 'Always 1; says what the event stream behind a key is called',
    worry: '',
  },
  streamBytes: {
    source: 'fleet',
    name: 'millrace_stream_bytes',
    type: 'gauge',
    unit: 'bytes',
    labels: STREAM,
    meaning: 'Memory of the stream in Redis, sampled',
    worry: 'When all streams together come near the memory limit of the server.',
  },
  streamOldestAge: {
    source: 'fleet',
    name: 'millrace_stream_oldest_event_age_seconds',
    type: 'gauge',
    unit: 'seconds',
    labels: STREAM,
    meaning: 'How far back the stream reaches: the age of its first event, 0 without one',
    worry: 'When it is far above the retention: nobody sweeps, or unread events are kept.',
  },
  streamRetention: {
    source: 'fleet',
    name: 'millrace_stream_retention_seconds',
    type: 'gauge',
    unit: 'seconds',
    labels: STREAM,
    meaning: 'The greatest age of events as the stream’s producers want it, absent without a bound',
    worry: '',
  },
  groupLag: {
    source: 'fleet',
    name: 'millrace_group_lag_events',
    type: 'gauge',
    unit: 'events',
    labels: GROUP,
    meaning:
      'Events in the stream after the position of a consumer or consumer group, right also after trims and deletions',
    worry: 'When it grows for longer than the bursts that are usual for the stream.',
  },
  groupLagKnown: {
    source: 'fleet',
    name: 'millrace_group_lag_known',
    type: 'gauge',
    unit: 'state',
    labels: GROUP,
    meaning: 'Whether the lag in events is certain (1) or an estimate (0)',
    worry: '',
  },
  groupLagAge: {
    source: 'fleet',
    name: 'millrace_group_lag_seconds',
    type: 'gauge',
    unit: 'seconds',
    labels: GROUP,
    meaning: 'How long the oldest event after the position has been waiting, 0 without lag',
    worry: 'When it is more than the users of the consumer can wait.',
  },
  groupOldestPendingAge: {
    source: 'fleet',
    name: 'millrace_group_oldest_pending_age_seconds',
    type: 'gauge',
    unit: 'seconds',
    labels: GROUP,
    meaning: 'The age of the oldest event that was handed out and not acked, absent without one',
    worry: 'When it is more than a handler and its retries may take: somebody hangs or has died.',
  },
  groupPendingByDeliveries: {
    source: 'fleet',
    name: 'millrace_group_pending_by_deliveries',
    type: 'gauge',
    unit: 'events',
    labels: ['db', 'stream', 'group', 'deliveries'],
    meaning:
      'The oldest pending events, at most a hundred of them, by how often they were delivered',
    worry: 'When many were delivered more than once: handlers fail or members die.',
  },
  groupDeadLetters: {
    source: 'fleet',
    name: 'millrace_group_dead_letters',
    type: 'gauge',
    unit: 'events',
    labels: GROUP,
    meaning: 'Dead letters of a consumer or consumer group',
    worry: 'When it grows. At `maxDeadLetters` (10,000 by default) the consumer stops.',
  },
  groupDeadLetterAge: {
    source: 'fleet',
    name: 'millrace_group_oldest_dead_letter_age_seconds',
    type: 'gauge',
    unit: 'seconds',
    labels: GROUP,
    meaning: 'For how long the oldest dead letter has been one, absent without one',
    worry: 'When nobody has looked for days: redrive or discard them.',
  },
  groupRedriving: {
    source: 'fleet',
    name: 'millrace_group_redriving_events',
    type: 'gauge',
    unit: 'events',
    labels: GROUP,
    meaning: 'Dead letters on their way back to their consumer or consumer group',
    worry: 'When it does not go down: the consumer is not at work.',
  },
  groupExpired: {
    source: 'fleet',
    name: 'millrace_group_expired_events_total',
    type: 'counter',
    unit: 'events',
    labels: GROUP,
    meaning: 'Events that retention has removed before this consumer or group had processed them',
    worry: 'Whenever it rises: these events are lost for it.',
  },
  groupMembers: {
    source: 'fleet',
    name: 'millrace_group_members',
    type: 'gauge',
    unit: 'members',
    labels: ['db', 'stream', 'group', 'standing'],
    meaning:
      'Holders of a consumer or members of a group: alive, or expired where the lease ran out and nobody has taken over',
    worry: 'When none is alive, or expired ones stay.',
  },
  groupHeadroom: {
    source: 'fleet',
    name: 'millrace_group_retention_headroom_seconds',
    type: 'gauge',
    unit: 'seconds',
    labels: GROUP,
    meaning:
      'After what time retention removes the oldest event that is not processed, negative when that is overdue; absent without lag or bound',
    worry: 'When it is less than it takes to mend a consumer: after that events expire unread.',
  },
  groupVerdict: {
    source: 'fleet',
    name: 'millrace_group_verdict',
    type: 'gauge',
    unit: 'state',
    labels: ['db', 'stream', 'group', 'kind', 'verdict'],
    meaning:
      'Always 1; how a consumer, group or foreign group does: ok, lagging, stalled, stopped or rewound',
    worry: 'When the verdict is not ok for longer than a deployment takes.',
  },
  memoryUsed: {
    source: 'fleet',
    name: 'millrace_server_memory_used_bytes',
    type: 'gauge',
    unit: 'bytes',
    labels: ['node'],
    meaning: 'Memory that a server uses',
    worry: 'When it comes near the limit: then publishing fails with OUT_OF_MEMORY.',
  },
  memoryLimit: {
    source: 'fleet',
    name: 'millrace_server_memory_limit_bytes',
    type: 'gauge',
    unit: 'bytes',
    labels: ['node'],
    meaning: 'The server’s maxmemory, 0 without a limit',
    worry: '',
  },
  up: {
    source: 'fleet',
    name: 'millrace_exporter_up',
    type: 'gauge',
    unit: 'state',
    labels: ['node'],
    meaning: 'Whether a server answered this scrape (1) or not (0)',
    worry: 'When it is 0: nothing is known about the streams of that server.',
  },
  scrapeCommands: {
    source: 'fleet',
    name: 'millrace_exporter_scrape_commands',
    type: 'gauge',
    unit: 'commands',
    labels: [],
    meaning: 'Commands that this scrape ran in Redis, with those inside of scripts',
    worry: '',
  },
  scrapeDuration: {
    source: 'fleet',
    name: 'millrace_exporter_scrape_duration_seconds',
    type: 'gauge',
    unit: 'seconds',
    labels: [],
    meaning: 'How long this scrape took to ask Redis',
    worry: 'When it comes near Prometheus’ scrape timeout.',
  },
  scrapeErrors: {
    source: 'fleet',
    name: 'millrace_exporter_errors_total',
    type: 'counter',
    unit: 'occurrences',
    labels: ['kind'],
    meaning: 'Commands and connections of the exporter that failed',
    worry: 'When it rises with kind permission: the exporter’s user lacks a right.',
  },
  streams: {
    source: 'fleet',
    name: 'millrace_exporter_streams',
    type: 'gauge',
    unit: 'streams',
    labels: ['standing'],
    meaning: 'Streams that were found: read, or skipped because there are more than `maxStreams`',
    worry: 'When some are skipped: raise `maxStreams` or run another exporter with a pattern.',
  },
  groupsSkipped: {
    source: 'fleet',
    name: 'millrace_exporter_skipped_groups',
    type: 'gauge',
    unit: 'groups',
    labels: [],
    meaning: 'Groups beyond `maxGroupsPerStream`, which are not shown',
    worry: 'When there are any.',
  },
  detailsAge: {
    source: 'fleet',
    name: 'millrace_exporter_details_age_seconds',
    type: 'gauge',
    unit: 'seconds',
    labels: [],
    meaning:
      'How old the oldest detail is that is shown: what costs one command per group is read in turns when there are many',
    worry: 'When it is several minutes: raise `maxCommands` or run several exporters.',
  },
}
