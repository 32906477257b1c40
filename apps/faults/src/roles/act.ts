import type { Millrace } from '@millrace/runtime'
import type { Report, SceneSettings } from '../cast/messages.ts'
import type { ProcessName } from '../cast/parts.ts'
import type { Journal } from '../proof/journal.ts'

/** What a role works with during a scene. */
export interface Props {
  readonly name: ProcessName
  readonly settings: SceneSettings
  readonly millrace: Millrace
  readonly journal: Journal
  readonly tell: (report: Report) => void
}

/** What a role does during a scene. */
export interface Act {
  readonly ready: Promise<void>
  /** Rejects when it stopped by itself. */
  readonly done: Promise<unknown>
  /** Publishes no more; answers how many events were refused, by error code. */
  quiet(): Promise<Readonly<Record<string, number>>>
  close(): Promise<unknown>
}
