import { channels } from '../diagnostics.ts'
import type { StreamPause } from './pauses.ts'

/** The reason for which a consumer or member is paused by whoever administers the stream. */
const ADMIN = 'admin'

/** Carries out in one consumer or member what Redis says about pauses. */
export class AdministrativePause {
  readonly #facts: { readonly stream: string; readonly name: string }
  readonly #target: { hold(reason: string): void; release(reason: string): void }
  #current: StreamPause | undefined

  constructor(
    facts: { readonly stream: string; readonly name: string },
    target: { hold(reason: string): void; release(reason: string): void },
  ) {
    this.#facts = facts
    this.#target = target
  }

  /** What pauses it at the moment, if anything does. */
  get current(): StreamPause | undefined {
    return this.#current
  }

  /** What the last answer of Redis said. */
  note(pause: StreamPause | undefined): void {
    const before = this.#current
    if (before === undefined && pause === undefined) return
    if (before?.name === pause?.name && before?.sinceMs === pause?.sinceMs) return
    this.#current = pause
    if (pause === undefined) this.#target.release(ADMIN)
    else this.#target.hold(ADMIN)
    const { by, reason } = pause ?? before ?? { by: '', reason: '' }
    channels.adminPaused.publish({ ...this.#facts, paused: pause !== undefined, by, reason })
  }
}
