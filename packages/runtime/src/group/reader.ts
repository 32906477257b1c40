import type { Core } from '../core.ts'
import type { Session } from '../connection/session.ts'
import { messageOf, MillraceError } from '../errors.ts'
import { onAbort, pause } from '../lifecycle/signals.ts'
import type { RawEntry } from '../stream/entry.ts'
import type { Identity } from './answers.ts'
import type { GroupCommands } from './commands.ts'

/** Where read entries go. */
export interface ReadSink {
  /** The count of the next read, 0 while there is no credit. */
  wants(): number
  /** Resolves when there is credit or the signal fires. */
  credit(signal: AbortSignal): Promise<void>
  receive(entries: readonly RawEntry[]): void
  pump(): void
}

/** How often an unblocking is repeated: it has no effect when it overtakes the read. */
const UNBLOCK_EVERY_MS = 20
const UNBLOCK_FOR_MS = 600

/** Reads new events on a connection of its own, as far as credit goes. */
export class Reader {
  readonly #core: Core
  readonly #commands: GroupCommands
  readonly #session: Session
  readonly #identity: Identity
  readonly #binary: boolean
  readonly #sink: ReadSink
  readonly #onReply: () => void
  readonly #onRested: () => void
  #outstanding: Promise<readonly RawEntry[]> | undefined
  /** Resolved when the answer of the outstanding read was taken in, or will never be. */
  #taken = Promise.withResolvers<void>()
  #abandon: (error: Error) => void = () => undefined

  constructor(
    core: Core,
    commands: GroupCommands,
    session: Session,
    identity: Identity,
    binary: boolean,
    sink: ReadSink,
    onReply: () => void,
    onRested: () => void,
  ) {
    this.#core = core
    this.#commands = commands
    this.#session = session
    this.#identity = identity
    this.#binary = binary
    this.#sink = sink
    this.#onReply = onReply
    this.#onRested = onRested
  }

  /** Whether it waits for credit. */
  get isWaiting(): boolean {
    return this.#outstanding === undefined
  }

  /**
   * Resolves when nothing is under way any more of what Redis has given out so far: what was read is taken
   * in, or the connection has ended.
   */
  caughtUp(): Promise<void> {
    return this.#outstanding === undefined ? Promise.resolve() : this.#taken.promise
  }

  /** Reads until the signal fires; whatever goes wrong is thrown, and the connection is then of no use. */
  async run(signal: AbortSignal): Promise<void> {
    // The connection may also end while nothing is wanted from it.
    const either = AbortSignal.any([signal, this.#session.signal])
    // Over a dead socket a read that was given up would take seconds to fail.
    const off = onAbort(this.#session.signal, () => {
      this.#abandon(endOf(this.#session))
    })
    try {
      await this.#read(signal, either)
    } finally {
      off()
      this.#taken.resolve()
    }
  }

  /**
   * Ends a read that is blocked in Redis, so that nothing more comes in; resolves when it has ended,
   * when that takes too long, or when the signal fires.
   */
  async interrupt(hurry?: AbortSignal): Promise<void> {
    const outstanding = this.#outstanding
    if (outstanding === undefined) return
    const settled = new AbortController()
    const onSettled = (): void => {
      settled.abort()
    }
    outstanding.then(onSettled, onSettled)
    const enough = hurry === undefined ? settled.signal : AbortSignal.any([settled.signal, hurry])
    const { clock, connections } = this.#core
    const endMs = clock.monotonicMs() + UNBLOCK_FOR_MS
    try {
      while (!enough.aborted && clock.monotonicMs() < endMs) {
        await connections.call(
          'control',
          this.#commands.keys.tag,
          (session) => session.client.call('client', 'unblock', this.#session.clientId),
          { signal: enough, deadlineMs: UNBLOCK_FOR_MS },
        )
        await pause(clock, UNBLOCK_EVERY_MS, enough)
      }
    } catch {
      // Without the right to unblock, or without Redis, the read ends by its own BLOCK or its connection.
    }
  }

  async #read(signal: AbortSignal, either: AbortSignal): Promise<void> {
    this.#next(signal)
    while (!signal.aborted) {
      if (this.#outstanding === undefined) {
        await this.#sink.credit(either)
        if (this.#session.signal.aborted && !signal.aborted) throw endOf(this.#session)
        this.#onRested()
        this.#next(signal)
        continue
      }
      const entries = await this.#outstanding
      this.#onReply()
      this.#sink.receive(entries)
      this.#taken.resolve()
      // The next read is on its way while the handlers run.
      this.#next(signal)
      this.#sink.pump()
    }
    if (this.#outstanding !== undefined) this.#sink.receive(await this.#outstanding)
  }

  #next(signal: AbortSignal): void {
    const count = signal.aborted ? 0 : this.#sink.wants()
    if (count === 0) {
      this.#outstanding = undefined
      return
    }
    this.#taken = Promise.withResolvers()
    const read = this.#commands.read(this.#session, this.#identity, count, this.#binary)
    this.#outstanding = new Promise((resolve, reject) => {
      this.#abandon = reject
      read.then(resolve, reject)
    })
    // Whoever waits for it next meets the error; it must not count as unhandled until then.
    this.#outstanding.catch(() => undefined)
  }
}

function endOf(session: Session): MillraceError {
  const reason: unknown = session.signal.reason
  return new MillraceError(
    'UNAVAILABLE',
    `The reading connection has ended: ${messageOf(reason)}`,
    {
      cause: reason,
    },
  )
}
