import { type Script, type ScriptArgument, evaluate } from '../connection/script.ts'
import type { Core } from '../core.ts'
import { MillraceError } from '../errors.ts'
import { onAbort } from '../lifecycle/signals.ts'
import type { EventStream } from '../stream/define-stream.ts'
import { assertName, type StreamKeys } from '../stream/keys.ts'
import {
  type AppendedStep,
  appendStep,
  encodeEvent,
  type Step,
  type StepEvent,
} from './append-step.ts'
import { elect, type ElectionOptions, type HeldLease } from './election.ts'

export interface RunOptions {
  readonly signal?: AbortSignal | undefined
  /** How long to try, in milliseconds. @defaultValue the connection's `deadlineMs` */
  readonly deadlineMs?: number | undefined
}

/**
 * What another package of Millrace may do beside an event stream: keep keys of its own in the stream's
 * slot, run scripts over them, elect one process, and append events in one step with its own records.
 * `millrace.extension` makes it. It costs nothing until it is used.
 */
export class Extension<Input> {
  readonly #core: Core
  readonly #stream: EventStream<Input, unknown>
  readonly #packageName: string
  readonly #keys: StreamKeys
  readonly #holdStream: () => () => void
  readonly #ending = new AbortController()
  readonly #elections = new Set<Promise<void>>()
  readonly #closed = Promise.withResolvers<void>()
  #closing: Promise<void> | undefined
  #release: (() => void) | undefined

  /** Use `millrace.extension`. @internal */
  constructor(
    core: Core,
    stream: EventStream<Input, unknown>,
    packageName: string,
    holdStream: () => () => void,
  ) {
    assertName('The name of a package', packageName)
    this.#core = core
    this.#stream = stream
    this.#packageName = packageName
    this.#keys = core.keysOf(stream)
    this.#holdStream = holdStream
  }

  get closed(): Promise<void> {
    return this.#closed.promise
  }

  /** The name of a companion key: `<stream>:x:<package>:<name>`. */
  key(name: string): string {
    if (!/^[A-Za-z0-9._:-]{1,256}$/.test(name)) {
      throw new MillraceError(
        'OPTIONS_INVALID',
        `The name of a companion key must be 1 to 256 characters out of A–Z a–z 0–9 . _ : -, not ${JSON.stringify(name)}`,
      )
    }
    return this.#keys.extension(this.#packageName, name)
  }

  /**
   * Runs a script over companion keys. It is sent again after lost connections and lost replies, so it must
   * do no harm when it runs twice.
   */
  run(
    script: Script,
    names: readonly string[],
    args: readonly ScriptArgument[],
    options: RunOptions = {},
  ): Promise<unknown> {
    this.#assertOpen()
    const keys = names.map((name) => this.key(name))
    return this.#core.connections.call(
      'data',
      this.#keys.tag,
      (session) => evaluate(session, script, keys, args),
      options,
    )
  }

  /**
   * Stands for election under a name until the signal fires; among all processes one at a time does the
   * work. The lease is the companion key of that name.
   */
  async elect(
    name: string,
    options: ElectionOptions,
    work: (held: HeldLease) => Promise<void>,
  ): Promise<void> {
    this.#assertOpen()
    const poll = { stream: this.#stream.name, name, keys: this.#keys, key: this.key(name) }
    const ending = new AbortController()
    const offs = [options.signal, this.#ending.signal].map((signal) =>
      onAbort(signal, () => {
        ending.abort(signal.reason)
      }),
    )
    const election = elect(this.#core, poll, { ...options, signal: ending.signal }, work)
    this.#elections.add(election)
    try {
      await election
    } finally {
      this.#elections.delete(election)
      for (const off of offs) off()
    }
  }

  /**
   * Appends events and stores what goes with them, all or nothing, exactly once, and only while the lease is
   * held and it is this step's turn.
   * @throws MillraceError `LEASE_LOST` when another holder is at work; `PAYLOAD_INVALID`,
   * `PAYLOAD_TOO_LARGE`, `OUT_OF_MEMORY`, `UNAVAILABLE` (the step may have been taken: ask the ledger, or
   * take the same step object again)
   */
  append(step: Step<Input>, options: RunOptions = {}): Promise<AppendedStep> {
    this.#assertOpen()
    this.#release ??= this.#holdStream()
    return appendStep(this.#core, this.#keys, this.#stream, (name) => this.key(name), step, options)
  }

  /**
   * Whether the event could be stored: one that cannot spoils its whole step.
   * @throws MillraceError `PAYLOAD_INVALID`, `PAYLOAD_TOO_LARGE`
   */
  async check(event: StepEvent<Input>): Promise<void> {
    await encodeEvent(this.#stream, event)
  }

  /** Ends the elections and waits for their work. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    this.#ending.abort(new MillraceError('CLOSED', 'Millrace was closed'))
    await Promise.allSettled(this.#elections)
    this.#release?.()
    this.#closed.resolve()
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw new MillraceError('CLOSED', 'The extension was closed')
  }
}
