import type { StreamMemory } from './memory.ts'
import type { FleetNode } from './node.ts'
import type { StreamKey } from './stream-key.ts'
import type { GroupReading, StreamReading } from './stream-reading.ts'

/** A stream in this scrape. */
export interface ReadStream {
  readonly key: string
  readonly name: string
  readonly node: FleetNode
  readonly reading: StreamReading
  /** Those that are shown. */
  readonly groups: readonly GroupReading[]
  readonly memory: StreamMemory
  /** The server's clock, in milliseconds since 1970. */
  readonly nowMs: number
}

/** A key that belongs to a group of another stream. */
export type CompanionKey = Exclude<StreamKey, { kind: 'stream' }>
