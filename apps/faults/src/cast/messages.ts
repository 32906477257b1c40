import type { RedisAddress } from '@millrace/runtime'
import type { ProcessName } from './parts.ts'

/** The variable through which a process learns who it is. */
export const NAME_VARIABLE = 'MILLRACE_FAULTS_PROCESS'

/** One piece of load with its own keys, as a process is told of it. */
export interface SceneSettings {
  readonly address: RedisAddress
  readonly prefix: string
  readonly stream: string
  /** The folder of the journals. */
  readonly folder: string
  readonly eventsPerSecond: number
  /** The number of the producer's first event. */
  readonly firstNumber: number
  readonly leaseMs: number
  readonly sameHostTakeover: boolean
  /** The producer keeps events on disk while Redis is away. */
  readonly spools: boolean
}

/** What the parent tells a process. */
export type Order =
  | { readonly is: 'begin'; readonly settings: SceneSettings }
  /** Publish no more, and wait for what is under way. */
  | { readonly is: 'quiet' }
  /** Close everything of this scene. */
  | { readonly is: 'end' }

/** What a process tells the parent. */
export type Report =
  | { readonly is: 'loaded' }
  | { readonly is: 'begun' }
  | { readonly is: 'quiet'; readonly refused: Readonly<Record<string, number>> }
  | { readonly is: 'ended' }
  /** It cannot go on with this scene. */
  | { readonly is: 'failed'; readonly message: string }
  /** What the process would answer to probes; told when it changes. */
  | {
      readonly is: 'health'
      readonly ready: boolean
      readonly live: boolean
      readonly problems: readonly string[]
    }
  /** Entries that had left the stream when they were claimed from a dead member. */
  | { readonly is: 'expired'; readonly events: number }

/** What the producer was answered from its spool; all that it was answered is in its journal as well. */
export function spoolJournalPath(folder: string): string {
  return `${folder}/producer.spooled.journal`
}

/** Where the producer keeps events while Redis is away. */
export function spoolDirectory(folder: string): string {
  return `${folder}/spool`
}

/** The journal of a process in a scene's folder; one that is started again appends to it. */
export function journalPath(folder: string, process: ProcessName): string {
  return `${folder}/${process}.journal`
}
