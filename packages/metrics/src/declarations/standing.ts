import { counter, type Declarations, gauge, histogram } from './declare.ts'

const STREAM = ['stream'] as const
const GROUP = ['stream', 'group'] as const
const BATCH_BUCKETS: readonly number[] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]

/** How the process stands with Redis. */
export const standing: Declarations<
  | 'tailBatch'
  | 'tailMembers'
  | 'leaseChanges'
  | 'positionChanges'
  | 'loopFailures'
  | 'connectionsOpened'
  | 'connectionsClosed'
  | 'connections'
  | 'sweptEvents'
  | 'sweptUnread'
  | 'abandoned'
> = {
  tailBatch: histogram('tail_read_events', [], BATCH_BUCKETS, {
    meaning: 'Events that one read of the shared tail brought, for all streams together',
    unit: 'events',
  }),
  tailMembers: gauge('tail_members', 'members', STREAM, {
    meaning: 'Readers and consumers that the shared tail feeds; the others catch up with pages',
  }),
  leaseChanges: counter('lease_changes', 'occurrences', ['stream', 'group', 'change'], {
    meaning: 'Leases acquired, lost, released or taken over here',
    worry: 'When leases are lost or taken over again and again: processes stall, or Redis is slow.',
  }),
  positionChanges: counter('position_changes', 'occurrences', ['stream', 'group', 'change'], {
    meaning: 'Times that a position was not on the server as it was left',
    worry: 'At any: Redis lost data, or somebody changed it by hand.',
  }),
  loopFailures: counter('loop_failures', 'occurrences', ['loop'], {
    meaning: 'Times that a loop of the runtime met an error and went on after a pause',
    worry: 'When they keep coming; the loop says what cannot be done.',
  }),
  connectionsOpened: counter('connections_opened', 'connections', ['purpose'], {
    meaning: 'Connections to Redis that were opened; all after the first few are reconnects',
    worry: 'When they keep coming.',
  }),
  connectionsClosed: counter('connections_closed', 'connections', ['purpose'], {
    meaning: 'Connections to Redis that have ended',
  }),
  connections: gauge('connections', 'connections', ['purpose'], {
    meaning: 'Connections to Redis that are open',
  }),
  sweptEvents: counter('retention_removed_events', 'events', STREAM, {
    meaning: 'Events that sweeps of this process removed as retention lets go of them',
  }),
  sweptUnread: counter('retention_unread_events', 'events', STREAM, {
    meaning: 'Of these, events that somebody had not processed',
    worry: 'At any: a consumer or group has lost them.',
  }),
  abandoned: counter('abandoned_groups', 'groups', GROUP, {
    meaning: 'Times that a consumer or group was found to have shown no sign of life for long',
    worry: 'When it is one that should be alive.',
  }),
}
