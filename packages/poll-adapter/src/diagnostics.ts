import { channel, type Channel } from 'node:diagnostics_channel'
import type { Fact } from '@millrace/runtime'

/**
 * Everything that the poll adapter tells about itself, on Node's `diagnostics_channel`, beside what the
 * runtime tells. Nothing is paid while nobody listens. All messages are plain objects.
 */

/** A cursor feed answered a poll. */
export interface FeedPolled {
  readonly stream: string
  readonly feed: string
  /** How many items the answer has. */
  readonly items: number
  /** Where the answer came from: what this process keeps in memory, or a read of Redis. */
  readonly source: 'memory' | 'redis'
  /** How long the poll waited for an event, in milliseconds; 0 when it was answered at once. */
  readonly waitedMs: number
}
/** A cursor feed refused a poll. */
export interface FeedRefused {
  readonly stream: string
  readonly feed: string
  readonly code: string
  readonly error: Error
}
/**
 * An event came whose old cursor lies below one that was handed out: pollers with plain cursors that are beyond
 * it will not see it.
 */
export interface ItemUnreachable {
  readonly stream: string
  readonly feed: string
  readonly id: string
  readonly cursor: string
  /** The greatest cursor of the events before it. */
  readonly greatest: string
}
/** A snapshot has read everything that was stored and follows the stream, or had to begin anew. */
export interface SnapshotChanged {
  readonly stream: string
  readonly snapshot: string
  readonly change: 'failed' | 'following' | 'restarted'
  readonly keys: number
  readonly bytes: number
  readonly detail: string
}

/** A bridge asked its source and put what was new into the stream. */
export interface BridgePolled {
  readonly stream: string
  readonly bridge: string
  /** Changes that were new. */
  readonly changes: number
  readonly durationMs: number
}
/** A bridge could not ask its source, or not store what it answered; it goes on after a pause. */
export interface BridgeFailed {
  readonly stream: string
  readonly bridge: string
  readonly error: Error
}
/** Another mode feeds the handler of a poller from now on. */
export interface MigrationSwitched {
  readonly stream: string
  readonly poller: string
  readonly from: string
  readonly to: string
  readonly state: string
  readonly epoch: number
  readonly why: string
}
/** What a shadow has found so far. */
export interface ShadowCompared {
  readonly stream: string
  readonly poller: string
  readonly matched: number
  readonly onlyPoll: number
  readonly onlyStream: number
  readonly outOfOrder: number
  readonly differing: number
}
/** A poller met an error and goes on after a pause. */
export interface PollerFailed {
  readonly stream: string
  readonly poller: string
  readonly mode: string
  readonly error: Error
}

/** All channels, by the name of the fact. */
export interface PollChannels {
  readonly bridgePolled: Fact<BridgePolled>
  readonly bridgeFailed: Fact<BridgeFailed>
  readonly migrationSwitched: Fact<MigrationSwitched>
  readonly shadowCompared: Fact<ShadowCompared>
  readonly pollerFailed: Fact<PollerFailed>
  readonly feedPolled: Fact<FeedPolled>
  readonly feedRefused: Fact<FeedRefused>
  readonly itemUnreachable: Fact<ItemUnreachable>
  readonly snapshotChanged: Fact<SnapshotChanged>
}

export const pollChannels: PollChannels = {
  bridgePolled: fact<BridgePolled>('millrace:poll:bridge:polled'),
  bridgeFailed: fact<BridgeFailed>('millrace:poll:bridge:failed'),
  migrationSwitched: fact<MigrationSwitched>('millrace:poll:migration:switched'),
  shadowCompared: fact<ShadowCompared>('millrace:poll:migration:shadow'),
  pollerFailed: fact<PollerFailed>('millrace:poll:poller:failed'),
  feedPolled: fact<FeedPolled>('millrace:poll:feed:polled'),
  feedRefused: fact<FeedRefused>('millrace:poll:feed:refused'),
  itemUnreachable: fact<ItemUnreachable>('millrace:poll:feed:unreachable'),
  snapshotChanged: fact<SnapshotChanged>('millrace:poll:snapshot:changed'),
}

function fact<Message extends object>(name: string): Fact<Message> {
  const underlying: Channel = channel(name)
  return {
    name,
    get hasSubscribers() {
      return underlying.hasSubscribers
    },
    publish(message) {
      if (underlying.hasSubscribers) underlying.publish(message)
    },
    subscribe(listener) {
      const onMessage = (message: unknown): void => {
        listener(message as Message)
      }
      underlying.subscribe(onMessage)
      return () => {
        underlying.unsubscribe(onMessage)
      }
    },
  }
}
