import { fromRedis, isPassing, troubleOf } from '../../connection/redis-errors.ts'
import type { OwnLink } from '../../connection/connections.ts'
import type { Session } from '../../connection/session.ts'
import type { Core } from '../../core.ts'
import { isMillraceError, messageOf, MillraceError } from '../../errors.ts'
import { pause } from '../../lifecycle/signals.ts'
import type { StreamKeys } from '../../stream/keys.ts'
import { mark } from './mark-script.ts'
import type { ResolvedDurability } from './options.ts'

/**
 * What became of a batch that had been appended:
 * - `durable`: it is where it has to be.
 * - `late`: it is in the stream, and was not everywhere else in time.
 * - `gone`: nobody can tell, or the server does not have it (any more): it has to be sent again.
 */
export type Durability =
  | { readonly is: 'durable' }
  | { readonly is: 'gone'; readonly reason: string }
  | { readonly is: 'late'; readonly error: MillraceError }

interface Waiting {
  readonly record: string
  readonly sequence: number
  readonly dueMs: number
  readonly resolve: (durability: Durability) => void
}

/** How long one WAIT blocks at most, so that what comes meanwhile is not kept waiting by what is stuck. */
const SLICE_MS = 250
const ERROR_PAUSE_MS = 20

/**
 * Waits until what was appended is durable, on a connection of its own: WAIT blocks it. Everything that has
 * been appended meanwhile is waited for together.
 */
export class DurabilityConfirmations {
  readonly #core: Core
  readonly #keys: StreamKeys
  readonly #options: ResolvedDurability
  readonly #link: OwnLink
  readonly #closed = new AbortController()
  /** The connection on which the command is known to be there. */
  #probed: Session | undefined
  #waiting: Waiting[] = []
  #running = false

  constructor(core: Core, keys: StreamKeys, options: ResolvedDurability) {
    this.#core = core
    this.#keys = keys
    this.#options = options
    this.#link = core.connections.own('durable', keys.tag, SLICE_MS)
  }

  /**
   * Makes sure, before anything is sent, that it can be waited for.
   * @throws MillraceError `SERVER_UNSUPPORTED`, `PERMISSION_DENIED`, `UNAVAILABLE`
   */
  async ready(deadlineMs?: number): Promise<void> {
    const { signal } = this.#closed
    const session = await this.#link.session({ signal, deadlineMs })
    if (session === this.#probed) return
    try {
      await this.#wait(session, 1)
    } catch (error) {
      await this.#core.connections.noteTrouble(session, error)
      const trouble = troubleOf(error)
      throw trouble === 'other' || trouble === 'unsupported'
        ? unsupported(error, this.#options)
        : fromRedis(error)
    }
    this.#probed = session
  }

  /** Resolves when it is known what became of everything up to a sequence that was appended. */
  confirm(record: string, sequence: number): Promise<Durability> {
    const dueMs = this.#core.clock.monotonicMs() + this.#options.timeoutMs
    const { promise, resolve } = Promise.withResolvers<Durability>()
    this.#waiting.push({ record, sequence, dueMs, resolve })
    void this.#run()
    return promise
  }

  close(): void {
    this.#closed.abort()
    this.#link.close()
  }

  async #run(): Promise<void> {
    if (this.#running) return
    this.#running = true
    try {
      // Batches that are answered in one turn of the event loop are waited for together.
      await Promise.resolve()
      while (this.#waiting.length > 0) await this.#round()
    } finally {
      this.#running = false
    }
  }

  async #round(): Promise<void> {
    const { clock, connections } = this.#core
    const { signal } = this.#closed
    let session: Session | undefined
    let round: readonly Waiting[] = []
    try {
      const firstDueMs = Math.min(...this.#waiting.map(({ dueMs }) => dueMs))
      const leftMs = Math.max(firstDueMs - clock.monotonicMs(), 1)
      session = await this.#link.session({ signal, deadlineMs: leftMs })
      round = this.#takeWaiting()
      const lasts = await this.#marks(session, round)
      const got = await this.#wait(session, Math.min(Math.ceil(leftMs), SLICE_MS))
      for (const one of round) {
        if ((lasts.get(one.record) ?? -1) < one.sequence)
          one.resolve(gone('the server has forgotten it'))
        else if (got.isEnough) one.resolve(DURABLE)
        else if (clock.monotonicMs() >= one.dueMs) one.resolve(late(got.text, this.#options))
        else this.#waiting.push(one)
      }
    } catch (error) {
      if (session === undefined) round = this.#takeWaiting()
      const nowMs = clock.monotonicMs()
      const isHopeless =
        signal.aborted || !(isMillraceError(error, 'UNAVAILABLE') || isPassing(troubleOf(error)))
      for (const one of round) {
        const isOver = isHopeless || nowMs >= one.dueMs
        one.resolve(isOver ? late(messageOf(error), this.#options) : gone(messageOf(error)))
      }
      if (session !== undefined) await connections.noteTrouble(session, error)
      await pause(clock, ERROR_PAUSE_MS, signal)
    }
  }

  #takeWaiting(): readonly Waiting[] {
    const waiting = this.#waiting
    this.#waiting = []
    return waiting
  }

  async #marks(session: Session, round: readonly Waiting[]): Promise<ReadonlyMap<string, number>> {
    const records = [...new Set(round.map(({ record }) => record))]
    const lasts = await Promise.all(records.map((record) => mark(session, this.#keys, record)))
    return new Map(records.map((record, i) => [record, lasts[i] ?? -1]))
  }

  async #wait(
    session: Session,
    timeoutMs: number,
  ): Promise<{ readonly isEnough: boolean; readonly text: string }> {
    const { replicas, aof } = this.#options
    // In lower case, like everything that is sent by its name.
    const [command, ...counts] = aof ? ['waitaof', 1, replicas] : ['wait', replicas]
    const reply = await session.client.call(String(command), ...counts, timeoutMs)
    if (!aof) return { isEnough: Number(reply) >= replicas, text: `${String(reply)} replicas` }
    const [local, others] = (reply as unknown[]).map(Number)
    return {
      isEnough: (local ?? 0) >= 1 && (others ?? 0) >= replicas,
      text: `the disks of ${local === 1 ? 'the primary' : 'no primary'} and ${String(others)} replicas`,
    }
  }
}

const DURABLE: Durability = Object.freeze({ is: 'durable' })

function gone(reason: string): Durability {
  return { is: 'gone', reason }
}

function late(had: string, { replicas, aof, timeoutMs }: ResolvedDurability): Durability {
  const where = aof ? `the disks of the primary and ${replicas} replicas` : `${replicas} replicas`
  return {
    is: 'late',
    error: new MillraceError(
      'NOT_DURABLE',
      `The event is in the stream, but was not confirmed by ${where} within ${timeoutMs} ms (${had})`,
    ),
  }
}

function unsupported(cause: unknown, { aof }: ResolvedDurability): MillraceError {
  const needs = aof
    ? 'durability.aof needs Redis 7.2 or Valkey, and appendonly yes'
    : 'WAIT is refused'
  return new MillraceError('SERVER_UNSUPPORTED', `${needs}: ${messageOf(cause)}`, { cause })
}
