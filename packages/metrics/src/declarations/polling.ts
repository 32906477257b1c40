import { counter, type Declarations, gauge, histogram } from './declare.ts'

const BRIDGE = ['stream', 'bridge'] as const
const FEED = ['stream', 'feed'] as const
/** Long polls wait for up to a minute. */
const WAIT_BUCKETS: readonly number[] = [0.001, 0.01, 0.1, 0.5, 1, 2.5, 5, 10, 20, 30, 60]

/** What the poll adapter of a process shows. */
export const polling: Declarations<
  | 'migrationState'
  | 'migrationSwitches'
  | 'shadow'
  | 'pollerFailures'
  | 'bridgePolls'
  | 'bridgeChanges'
  | 'bridgeFailures'
  | 'feedPolls'
  | 'feedItems'
  | 'feedWait'
  | 'feedRefusals'
  | 'feedUnreachable'
  | 'snapshotKeys'
  | 'snapshotBytes'
  | 'snapshotChanges'
> = {
  migrationState: gauge('migration_state', 'state', ['stream', 'poller', 'state'], {
    meaning: 'How a migration stands: 1 for the state that holds, as this process last heard',
  }),
  migrationSwitches: counter('migration_switches', 'occurrences', ['stream', 'poller', 'to'], {
    meaning: 'Switches of what feeds the handler of a poller',
    worry: 'When it goes back to polling by itself.',
  }),
  shadow: counter('shadow_changes', 'events', ['stream', 'poller', 'outcome'], {
    meaning: 'Changes that a shadow has compared, by what it found: matched, or how they diverged',
    worry: 'When anything but matched keeps growing: do not switch.',
  }),
  pollerFailures: counter('poller_failures', 'occurrences', ['stream', 'poller', 'mode'], {
    meaning: 'Times that a poller met an error and went on after a pause',
    worry: 'When they keep coming.',
  }),
  bridgePolls: counter('bridge_polls', 'occurrences', BRIDGE, {
    meaning: 'Times that a bridge asked its source',
    worry: 'When it stops in all processes: nobody is elected.',
  }),
  bridgeChanges: counter('bridge_changes', 'events', BRIDGE, {
    meaning: 'Changes that a bridge put into the stream',
  }),
  bridgeFailures: counter('bridge_failures', 'occurrences', BRIDGE, {
    meaning: 'Times that a bridge could not ask its source, or not store what that answered',
    worry: 'When they keep coming: the stream falls behind its source.',
  }),
  feedPolls: counter('feed_polls', 'occurrences', ['stream', 'feed', 'source'], {
    meaning: 'Polls that a cursor feed answered, out of memory or with a read of Redis',
    worry: 'When most of them read Redis: pollers are far behind.',
  }),
  feedItems: counter('feed_items', 'events', FEED, {
    meaning: 'Items that a cursor feed handed to pollers',
  }),
  feedWait: histogram('feed_wait_seconds', FEED, WAIT_BUCKETS, {
    meaning: 'How long polls waited for an event; 0 for those answered at once',
  }),
  feedRefusals: counter('feed_refusals', 'occurrences', ['stream', 'feed', 'code'], {
    meaning: 'Polls that a cursor feed refused, by the code of the error',
    worry: 'When pollers are told again and again that their cursors are no good.',
  }),
  feedUnreachable: counter('feed_unreachable_items', 'events', FEED, {
    meaning: 'Items whose old cursor lies below one that was handed out before',
    worry: 'At any: pollers that are beyond it do not see them.',
  }),
  snapshotKeys: gauge('snapshot_keys', 'events', ['stream', 'snapshot'], {
    meaning: 'Keys that a snapshot has',
  }),
  snapshotBytes: gauge('snapshot_bytes', 'bytes', ['stream', 'snapshot'], {
    meaning: 'Size of what a snapshot has',
    worry: 'When it comes near the memory of the process.',
  }),
  snapshotChanges: counter('snapshot_changes', 'occurrences', ['stream', 'snapshot', 'change'], {
    meaning: 'Times that a snapshot caught up with its stream, had to begin anew, or failed',
    worry: 'When it begins anew again and again, or fails.',
  }),
}
