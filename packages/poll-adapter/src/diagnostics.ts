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
/** A snapshot has read everything that was stored and follows the stream, or had to begin anew. */
export interface SnapshotChanged {
  readonly stream: string
  readonly snapshot: string
  readonly change: 'failed' | 'following' | 'restarted'
  readonly keys: number
  readonly bytes: number
  readonly detail: string
}

/** All channels, by the name of the fact. */
export interface PollChannels {
  readonly feedPolled: Fact<FeedPolled>
  readonly feedRefused: Fact<FeedRefused>
  readonly snapshotChanged: Fact<SnapshotChanged>
}

export const pollChannels: PollChannels = {
  feedPolled: fact<FeedPolled>('millrace:poll:feed:polled'),
  feedRefused: fact<FeedRefused>('millrace:poll:feed:refused'),
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
