import type { RedisAddress } from '@millrace/runtime'
import type { RedisServer } from '@millrace/testkit'
import type { ProcessName } from '../cast/parts.ts'

/** Servers to run scenes on, one after the other. */
export interface Bed extends AsyncDisposable {
  readonly topology: Topology
  addressOf(process: ProcessName): RedisAddress
  /** The server that takes writes to the key now. */
  masterOf(key: string): Promise<RedisServer>
  /** Resolves when everything is as it was at the start, as far as that can be had. */
  mend(): Promise<void>
}

export type Topology = 'cluster' | 'sentinel' | 'standalone'
