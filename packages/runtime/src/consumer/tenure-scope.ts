import type { StreamPause } from '../admin/pauses.ts'
import type { Core } from '../core.ts'
import type { MillraceError } from '../errors.ts'
import type { Decode } from '../stream/decode.ts'
import type { StreamKeys } from '../stream/keys.ts'
import type { StreamFeed } from '../tail/stream-feed.ts'
import type { ConsumerHandler, RunningHandler } from './hand-out.ts'
import type { ResolvedConsumerOptions } from './options.ts'
import type { Pulse } from './pulse.ts'

/**
 * Why a tenure ended:
 * - `lost`: somebody else holds the lease, or it could not be confirmed in time.
 * - `resync`: the lease is still ours, but the position on the server is not what we thought.
 * - `released`: given back on purpose, with everything stored that could be.
 * - `stopped`: the owner's policy, or a full dead-letter stream.
 */
export type TenureEnd =
  | { readonly why: 'lost' | 'resync'; readonly detail: string }
  | { readonly why: 'released' }
  | { readonly why: 'stopped'; readonly error: MillraceError }

/** What the tenures of one consumer share. */
export interface TenureScope<Data> {
  readonly core: Core
  readonly streamName: string
  readonly keys: StreamKeys
  readonly options: ResolvedConsumerOptions
  readonly feed: StreamFeed
  readonly pulse: Pulse
  readonly decode: Decode<Data>
  /** Whether payloads are bytes rather than text. */
  readonly binary: boolean
  readonly handler: ConsumerHandler<Data>
  /** Handlers that still run, by event id, whichever tenure started them. */
  readonly running: Map<string, RunningHandler>
  /** Whether the user has paused the consumer. */
  readonly isPaused: () => boolean
  /** Told with each answer whether whoever administers the stream has paused the consumer. */
  readonly notePause: (pause: StreamPause | undefined) => void
}
