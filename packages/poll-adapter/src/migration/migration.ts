import type { EventStream, Extension, Millrace } from '@millrace/runtime'
import { PollAdapterError } from '../errors.ts'
import { oneOf, optionProblems, text, throwProblems, abortSignal } from '../lifecycle/options.ts'
import { type AuditEntry, lookAtMigration, readAudit, storeSwitch } from './record.ts'
import { type ShadowReport, parseReport } from './shadow-report.ts'
import {
  decideSwitch,
  type MigrationRecord,
  type MigrationState,
  migrationStates,
} from './state.ts'

export interface SwitchOptions {
  /** Who switches: a name that the audit trail keeps. */
  readonly who: string
  /** The reason, for the audit trail. */
  readonly why: string
  readonly signal?: AbortSignal
}

/**
 * Moves the pollers of one stream, each on its own, at run time. What is switched here is in force in every
 * process within a second or so, unless something has to be waited for; `look` tells what.
 */
export class Migration {
  readonly #extension: Extension<never>
  readonly #stream: string

  /** Use {@link createMigration}. @internal */
  constructor(millrace: Millrace, stream: EventStream<never, unknown>) {
    this.#extension = millrace.extension(stream, 'poll')
    this.#stream = stream.name
  }

  /** What is wanted of the poller, and what happens. */
  async look(poller: string, signal?: AbortSignal): Promise<MigrationRecord> {
    return (await lookAtMigration(this.#extension, poller, signal)).record
  }

  /**
   * Switches a poller; answers its record afterwards. Switching to the state that it has changes nothing.
   * @throws PollAdapterError `SWITCH_REFUSED` with the reason, where its source cannot support the state
   */
  async switchTo(
    poller: string,
    to: MigrationState,
    options: SwitchOptions,
  ): Promise<MigrationRecord> {
    const problems = optionProblems(options, { who: text, why: text, signal: abortSignal })
    for (const name of ['who', 'why'] as const) {
      if (options[name] === undefined) problems.push(`${name} is missing`)
    }
    const state = oneOf(...migrationStates)(to)
    if (state !== true) problems.push(`the state ${String(state)}`)
    throwProblems(`Switching ${poller}`, problems)
    const { who, why, signal } = options
    for (;;) {
      const record = await this.look(poller, signal)
      const verdict = decideSwitch(record, { to, who, why })
      if (verdict.action === 'none') return record
      if (verdict.action === 'refuse') {
        throw new PollAdapterError(
          'SWITCH_REFUSED',
          `${poller} cannot be switched to ${to}: ${verdict.reason}`,
          { stream: this.#stream, name: poller },
        )
      }
      // Somebody else may have been quicker; then it is decided again.
      await storeSwitch(this.#extension, record, { to, who, why }, '', signal)
    }
  }

  /** Who switched the poller, when, from what, to what, and why; the newest first. */
  audit(poller: string, signal?: AbortSignal): Promise<AuditEntry[]> {
    return readAudit(this.#extension, poller, signal)
  }

  /** What the shadow has found since the poller was last switched to it. */
  async report(poller: string, signal?: AbortSignal): Promise<ShadowReport> {
    return parseReport((await lookAtMigration(this.#extension, poller, signal)).report)
  }

  close(): Promise<void> {
    return this.#extension.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** The switchboard of the pollers that move to this stream. */
export function createMigration(
  millrace: Millrace,
  stream: EventStream<never, unknown>,
): Migration {
  return new Migration(millrace, stream)
}
