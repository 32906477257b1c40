import { Downloads } from './blob/downloads.ts'
import { Uploads } from './blob/uploads.ts'
import { Connections } from './connection/connections.ts'
import type { ResolvedConnectOptions } from './connection/options.ts'
import { type HostIdentity, identifyHost } from './lease/host.ts'
import { type Clock, systemClock } from './lifecycle/clock.ts'
import { abortable } from './lifecycle/signals.ts'
import type { EventStream } from './stream/define-stream.ts'
import { type StreamKeys, streamKeys } from './stream/keys.ts'
import { readFigures } from './stream/open-stream-script.ts'

/** What every producer, reader, consumer and consumer group of one `connect()` shares. */
export interface Core {
  readonly options: ResolvedConnectOptions
  readonly connections: Connections
  readonly clock: Clock
  /** Payloads on their way to and from the blob store. */
  readonly uploads: Uploads
  readonly downloads: Downloads
  /** This process, for same-host takeover; undefined where it is unknown or the option is off. */
  readonly host: HostIdentity | undefined
  keysOf(stream: StreamLike): StreamKeys
  /**
   * Makes sure, once for each stream, that the stream in Redis is the one that was defined.
   * @throws MillraceError `STREAM_MISMATCH`, `KEY_TYPE`, `UNAVAILABLE`
   */
  verify(stream: StreamLike, signal?: AbortSignal): Promise<void>
}

/** An event stream of whatever types, where only its name and settings matter. */
export type StreamLike = Pick<
  EventStream<never, unknown>,
  'name' | 'codec' | 'retention' | 'limits' | 'colocate' | 'partitions'
>

export function createCore(options: ResolvedConnectOptions, clock: Clock = systemClock): Core {
  const connections = new Connections(options, clock)
  const verified = new Map<string, Promise<void>>()
  // A thousand consumers of one stream share one.
  const allKeys = new Map<string, StreamKeys>()
  const keysOf = ({ name, colocate }: StreamLike): StreamKeys => {
    const called = `{${colocate ?? name}}${name}`
    let keys = allKeys.get(called)
    if (keys === undefined) allKeys.set(called, (keys = streamKeys(options.prefix, name, colocate)))
    return keys
  }
  return {
    options,
    connections,
    clock,
    uploads: new Uploads(options.blobStore, connections, clock),
    downloads: new Downloads(options.blobStore, clock, options.blobBytes),
    host: options.sameHostTakeover ? identifyHost() : undefined,
    keysOf,
    verify(stream, signal) {
      const keys = keysOf(stream)
      let verdict = verified.get(keys.stream)
      if (verdict === undefined) {
        // Shared by all who ask meanwhile, so no single caller's signal may end it.
        verdict = connections
          .call('data', keys.tag, (session) => readFigures(session, keys, stream.name))
          .then(() => undefined)
        verified.set(keys.stream, verdict)
        // A failed look is not remembered: the next call looks again.
        verdict.catch(() => verified.delete(keys.stream))
      }
      return abortable(verdict, signal, 'Looking at the stream')
    },
  }
}
