import { channel, type Channel } from 'node:diagnostics_channel'
import type { RawEntry } from './stream/entry.ts'
import type { Pressure, PressureLevel } from './pressure/pressure.ts'

/**
 * Everything that Millrace tells about itself, on Node's `diagnostics_channel`. Loggers, metrics and
 * tests subscribe; nothing is paid while nobody does. All messages are plain objects.
 */

/** A channel whose messages have a known shape. */
export interface Fact<Message extends object> {
  readonly name: string
  readonly hasSubscribers: boolean
  publish(message: Message): void
  subscribe(listener: (message: Message) => void): () => void
}

export interface ConnectionOpened {
  readonly purpose: string
  readonly node: string
  readonly server: { readonly product: string; readonly version: string }
}
export interface ConnectionClosed {
  readonly purpose: string
  readonly node: string
  readonly reason: string
}
/** A batch of events is in the stream. */
export interface Published {
  readonly stream: string
  readonly events: number
  readonly bytes: number
  /** Events whose idempotency key was known already. */
  readonly duplicates: number
  /** From the call of the oldest to the answer, in milliseconds. */
  readonly durationMs: number
}
/** A publish failed for good. */
export interface PublishFailed {
  readonly stream: string
  readonly events: number
  readonly error: Error
}
/** The producer stopped its window and waits for outstanding answers before it sends again. */
export interface PublishStalled {
  readonly stream: string
  readonly reason: string
}
/** The pressure on a producer's stream has another level, or other causes. */
export interface PressureChanged extends Pressure {
  readonly stream: string
  /** The level before. */
  readonly before: PressureLevel
}
/** What lies in a producer's spool has changed. */
export interface SpoolChanged {
  readonly stream: string
  readonly producerId: string
  /** Whether new events go to the spool as well. */
  readonly spooling: boolean
  /** Events on disk that are not known to be in the stream yet. */
  readonly events: number
  /** Their size in the stream. */
  readonly bytes: number
  /** For how long the oldest has been there, in milliseconds; 0 when there is none. */
  readonly oldestAgeMs: number
}
/** A producer took over the spool file of a process that has ended. */
export interface SpoolAdopted {
  readonly stream: string
  readonly producerId: string
  readonly file: string
  readonly events: number
  readonly bytes: number
  readonly oldestAgeMs: number
}
/** The tail got entries from one blocking read. */
export interface TailRead {
  readonly tag: string
  readonly streams: number
  readonly events: number
  readonly bytes: number
}
/** Events have arrived in this process, with the reply to one read. */
export interface Received {
  readonly stream: string
  /** How they were read: by the shared tail, by a page for those behind it, or by a member of a group. */
  readonly by: 'group' | 'page' | 'tail'
  /** The consumer group; empty for reads that readers and consumers share. */
  readonly name: string
  /** As Redis has them; `headerOf` finds their headers. */
  readonly entries: readonly RawEntry[]
}
/** A reader or consumer left the tail because it fell behind, or came back to it. */
export interface TailMembership {
  readonly stream: string
  readonly name: string
  readonly joined: boolean
}
/** A loop met an error and goes on after a pause. */
export interface LoopFailed {
  readonly loop: string
  readonly stream: string
  readonly name: string
  readonly error: Error
}
/** A handler is done with one delivery. */
export interface Handled {
  readonly stream: string
  readonly name: string
  readonly id: string
  readonly attempt: number
  readonly ok: boolean
  /** From receipt by this process to the start of the handler, in milliseconds. */
  readonly waitedMs: number
  readonly durationMs: number
  readonly error: Error | undefined
}
/** What became of one delivery. All times are of the process's monotonic clock. */
export interface SettledDelivery extends DeliveryDetails {
  readonly id: string
  /** When the event came to this process. */
  readonly receivedMs: number
  readonly startedMs: number
  readonly settledMs: number
  /** The W3C trace context that the event carries, if it does. */
  readonly traceparent: string | undefined
}
/** What is the same for nearly all deliveries. */
export interface DeliveryDetails {
  /** The attempt, from 1. */
  readonly attempt: number
  /** How it ended; `interrupted` says that the handler was told to give up for no fault of the event. */
  readonly outcome: 'done' | 'failed' | 'interrupted' | 'invalid'
  /** Whether the event may have been started before, here or elsewhere. */
  readonly redelivered: boolean
  /** Whether it comes back from the dead letters. */
  readonly redriven: boolean
}
/**
 * Deliveries have settled: the same as `handled`, told once for many, for whoever counts. What a delivery has to
 * itself stands in columns, at the same place in each, because an object for each event would cost more than to
 * count it. There are as many deliveries as ids; columns of times are longer, and are used again for the next
 * message. Whoever keeps deliveries, or would rather have objects, lets `settledDeliveries` make them.
 */
export interface DeliveriesSettled {
  readonly stream: string
  readonly name: string
  readonly kind: 'consumer' | 'group'
  readonly ids: readonly string[]
  /** When the events came to this process. */
  readonly receivedMs: Times
  readonly startedMs: Times
  readonly settledMs: Times
  /** The W3C trace contexts that the events carry; without a place for those after the last that does. */
  readonly traceparents: readonly (string | undefined)[]
  /** Those of which something else is to be said than that they were done at the first attempt, by place. */
  readonly remarkable: ReadonlyMap<number, DeliveryDetails>
}
/** A column of moments of the process's monotonic clock. */
export type Times = Readonly<ArrayLike<number>>
/** The position of a consumer was stored. */
export interface Checkpointed {
  readonly stream: string
  readonly name: string
  readonly position: string
  readonly events: number
  /** From the request to the answer, in milliseconds. */
  readonly durationMs: number
}
/** Redis has confirmed that events of a consumer group are done. */
export interface Acknowledged {
  readonly stream: string
  readonly name: string
  readonly ids: readonly string[]
  /**
   * How many of them were still pending. The others had expired while they were handled and are counted as such
   * too, or an answer was lost and they were acknowledged before.
   */
  readonly pending: number
  /** From the request to the answer, in milliseconds. */
  readonly durationMs: number
}
export interface LeaseChanged {
  readonly stream: string
  readonly name: string
  readonly change: 'acquired' | 'lost' | 'released' | 'taken-over'
  readonly token: string
  readonly reason: string
}
/** The server refused a checkpoint, or a stream was created anew: the position was read again. */
export interface PositionChanged {
  readonly stream: string
  readonly name: string
  readonly change: 'rewound' | 'recreated' | 'group-recreated'
  readonly from: string
  readonly to: string
  readonly detail: string
}
/** Entries of a dead member were claimed. */
export interface Claimed {
  readonly stream: string
  readonly name: string
  readonly from: string
  readonly events: number
  /** Entries that had left the stream before they could be claimed. */
  readonly expired: number
}

/** An event was moved to the dead letters of a consumer or consumer group. */
export interface DeadLettered {
  readonly stream: string
  readonly name: string
  /** The id that the event had in its stream. */
  readonly id: string
  readonly reason: 'exhausted' | 'invalid' | 'unrecoverable'
  /** Attempts since it was read or redriven. */
  readonly attempts: number
  readonly error: string
  /** Whether it had been a dead letter before. */
  readonly redriven: boolean
}
/** Dead letters were put on their way back to their consumer or consumer group. */
export interface Redriven {
  readonly stream: string
  readonly name: string
  readonly events: number
}
/** A stream was swept: what retention lets go was removed. */
export interface Swept {
  readonly stream: string
  readonly removed: number
  /** How many of them somebody had not processed. */
  readonly unread: number
  /** Everything before this id has been processed by everybody. */
  readonly floor: string
}
/** A consumer, consumer group or reader was told of events that were removed before it processed them. */
export interface GapMet {
  readonly stream: string
  readonly name: string
  /** Everything at or before this id had been processed. */
  readonly from: string
  /** The last id that was removed unread. */
  readonly to: string
  readonly events: number
  /** Whether that number is certain. */
  readonly known: boolean
}
/** A consumer or member was paused, or may go on, because somebody administers its stream. */
export interface AdminPaused {
  readonly stream: string
  readonly name: string
  readonly paused: boolean
  /** Who has paused it. */
  readonly by: string
  readonly reason: string
}
/** Blobs were removed from the blob store that nothing of the stream refers to any more. */
export interface BlobsCollected {
  readonly stream: string
  readonly removed: number
  readonly bytes: number
  /** Blobs that the stream needs no more, and dead letters or redriven events do. */
  readonly kept: number
}
/** A consumer or consumer group has shown no sign of life for longer than its owner allows. */
export interface AbandonedFound {
  readonly stream: string
  readonly name: string
  readonly kind: 'consumer' | 'foreign' | 'group'
  /** When it last did, in milliseconds since 1970 by the server's clock. */
  readonly activeMs: number
}

/** All channels, by the name of the fact. */
export interface Channels {
  readonly connectionOpened: Fact<ConnectionOpened>
  readonly connectionClosed: Fact<ConnectionClosed>
  readonly published: Fact<Published>
  readonly publishFailed: Fact<PublishFailed>
  readonly publishStalled: Fact<PublishStalled>
  readonly pressureChanged: Fact<PressureChanged>
  readonly spoolChanged: Fact<SpoolChanged>
  readonly spoolAdopted: Fact<SpoolAdopted>
  readonly tailRead: Fact<TailRead>
  readonly received: Fact<Received>
  readonly tailMembership: Fact<TailMembership>
  readonly loopFailed: Fact<LoopFailed>
  readonly handled: Fact<Handled>
  readonly deliveriesSettled: Fact<DeliveriesSettled>
  readonly checkpointed: Fact<Checkpointed>
  readonly acknowledged: Fact<Acknowledged>
  readonly leaseChanged: Fact<LeaseChanged>
  readonly positionChanged: Fact<PositionChanged>
  readonly claimed: Fact<Claimed>
  readonly deadLettered: Fact<DeadLettered>
  readonly redriven: Fact<Redriven>
  readonly swept: Fact<Swept>
  readonly gap: Fact<GapMet>
  readonly abandoned: Fact<AbandonedFound>
  readonly blobsCollected: Fact<BlobsCollected>
  readonly adminPaused: Fact<AdminPaused>
}

export const channels: Channels = {
  connectionOpened: fact<ConnectionOpened>('millrace:connection:opened'),
  connectionClosed: fact<ConnectionClosed>('millrace:connection:closed'),
  published: fact<Published>('millrace:producer:published'),
  publishFailed: fact<PublishFailed>('millrace:producer:failed'),
  publishStalled: fact<PublishStalled>('millrace:producer:stalled'),
  pressureChanged: fact<PressureChanged>('millrace:producer:pressure'),
  spoolChanged: fact<SpoolChanged>('millrace:spool:changed'),
  spoolAdopted: fact<SpoolAdopted>('millrace:spool:adopted'),
  tailRead: fact<TailRead>('millrace:tail:read'),
  received: fact<Received>('millrace:delivery:received'),
  tailMembership: fact<TailMembership>('millrace:tail:membership'),
  loopFailed: fact<LoopFailed>('millrace:loop:failed'),
  handled: fact<Handled>('millrace:delivery:handled'),
  deliveriesSettled: fact<DeliveriesSettled>('millrace:delivery:settled'),
  checkpointed: fact<Checkpointed>('millrace:consumer:checkpointed'),
  acknowledged: fact<Acknowledged>('millrace:group:acknowledged'),
  leaseChanged: fact<LeaseChanged>('millrace:lease:changed'),
  positionChanged: fact<PositionChanged>('millrace:consumer:position'),
  claimed: fact<Claimed>('millrace:group:claimed'),
  deadLettered: fact<DeadLettered>('millrace:dead-letters:added'),
  redriven: fact<Redriven>('millrace:dead-letters:redriven'),
  swept: fact<Swept>('millrace:retention:swept'),
  gap: fact<GapMet>('millrace:retention:gap'),
  abandoned: fact<AbandonedFound>('millrace:retention:abandoned'),
  blobsCollected: fact<BlobsCollected>('millrace:retention:blobs'),
  adminPaused: fact<AdminPaused>('millrace:admin:paused'),
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
