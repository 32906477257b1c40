import type { ErrorCode } from '../../errors.ts'
import type { CommitFacts, SpoolCommit, SpoolIdentity } from './spool-file.ts'
import type { SpooledBatch } from './spooled-batch.ts'
import type { FileFacts } from './verify.ts'

/** What the thread does, by name; files go by their paths. */
export interface SpoolCalls {
  /** Locks and checks what ended processes left; says how many others are still at work. */
  adopt(
    directory: string,
    identity: SpoolIdentity,
  ): { readonly orphans: readonly FileFacts[]; readonly inUse: number }
  create(directory: string, identity: SpoolIdentity, epoch: string): string
  commit(path: string, commit: SpoolCommit): CommitFacts
  read(path: string, after: number, mostBatches: number, mostBytes: number): SpooledBatch[]
  close(path: string): void
}

export interface SpoolRequest {
  readonly id: number
  readonly name: keyof SpoolCalls
  readonly args: readonly unknown[]
}

export type SpoolAnswer =
  | { readonly id: number; readonly value: unknown }
  | {
      readonly id: number
      readonly error: { readonly code: ErrorCode; readonly message: string }
    }
