import type { Place } from '../../harness/workbench.ts'

/** A server of the comparison, with its data in files, so that it can be killed and come back. */
export interface Broker extends AsyncDisposable {
  /** What it is, and its version. */
  readonly version: string
  /** All its processes. */
  pids(): readonly number[]
  /** Where nothing has been before. */
  emptyPlace(): Promise<Place>
  kill(): Promise<void>
  /** Resolves when clients can connect. */
  restart(): Promise<void>
}

/** A broker, or why there is none on this machine. */
export type BrokerChoice =
  | { readonly broker: Broker; readonly reason?: never }
  | { readonly broker?: never; readonly reason: string }
