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
  /** Entries that had left the stream when they were claimed from a dead member. */
  | { readonly is: 'expired'; readonly events: number }

/** The journal of a process in a scene's folder; one that is started again appends to it. */
export function journalPath(folder: string, process: ProcessName): string {
  return `${folder}/${process}.journal`
}
