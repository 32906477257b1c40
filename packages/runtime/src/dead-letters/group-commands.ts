import type { WaitOptions } from '../connection/connections.ts'
import { evaluate, type Script, type ScriptArgument } from '../connection/script.ts'
import type { Core } from '../core.ts'
import {
  type Identity,
  type PendingEntry,
  type Refusal,
  refusal,
  type Settled,
  type Settlement,
} from '../group/answers.ts'
import type { RawEntry } from '../stream/entry.ts'
import type { StreamKeys } from '../stream/keys.ts'
import { type StoredEntry, storedEntries } from './dead-letter.ts'
import { returnScript, settleRedrivesScript, takeScript } from './group-scripts.ts'

/** A redriven event that is pending for a member. */
export interface PendingRedrive extends PendingEntry {
  /** The id that the event has in its own stream. */
  readonly eventId: string
  /** Whether a member died with it. */
  readonly suspect: boolean
}

export interface Taken {
  /** How many wait that nobody has. */
  readonly left: number
  /** All that are pending for the member, also those that it knows. */
  readonly entries: readonly PendingRedrive[]
}

/**
 * The scripts about redriven events of one consumer group. Their settling has the shape of that of
 * events of the stream, so that the same settler does both. All of them may be repeated without harm.
 */
export class RedriveCommands {
  readonly #core: Core
  readonly #keys: StreamKeys
  readonly #group: string
  readonly #maxDeadLetters: number

  constructor(
    core: Core,
    keys: StreamKeys,
    options: { readonly name: string; readonly maxDeadLetters: number },
  ) {
    this.#core = core
    this.#keys = keys
    this.#group = options.name
    this.#maxDeadLetters = options.maxDeadLetters
  }

  async take(identity: Identity, most: number, wait: WaitOptions): Promise<Taken | Refusal> {
    const args = [...this.#caller(identity), most]
    const reply = await this.#evaluate('control', takeScript, this.#stateAndRedrive(), args, wait)
    if (reply[0] !== 'OK') return refusal(reply)
    return { left: Number(reply[1]), entries: pendingRedrives(reply[2] as readonly unknown[]) }
  }

  async settle(
    identity: Identity,
    { acks, attempts, releases }: Settlement,
    wait: WaitOptions,
  ): Promise<Settled | Refusal> {
    const args: ScriptArgument[] = [
      ...this.#caller(identity),
      `${identity.name}:released`,
      acks.length,
      attempts.length,
      releases.length,
      ...acks,
    ]
    for (const { id, attempt } of attempts) args.push(id, attempt)
    for (const { id, idleMs, attempt } of releases) args.push(id, Math.round(idleMs), attempt)
    const keys = this.#stateAndRedrive()
    const reply = await this.#evaluate('data', settleRedrivesScript, keys, args, wait)
    if (reply[0] !== 'OK') return refusal(reply)
    return { gone: reply[1] as string[], foreign: reply[2] as string[] }
  }

  /** Moves a redriven event back to the dead letters. */
  async deadLetter(
    identity: Identity,
    letter: { id: string; reason: string; attempts: number; error: string },
    wait: WaitOptions,
  ): Promise<'EXPIRED' | 'FULL' | 'OK' | 'SETTLED' | Refusal> {
    const { id, reason, attempts, error } = letter
    const reply = await this.#evaluate(
      'data',
      returnScript,
      [...this.#stateAndRedrive(), this.#keys.dead(this.#group)],
      [...this.#caller(identity), id, reason, attempts, error, this.#maxDeadLetters],
      wait,
    )
    return String(reply[0]) as 'EXPIRED' | 'FULL' | 'OK' | 'SETTLED' | Refusal
  }

  /** The payloads of redriven events; undefined for those that are gone. */
  fetch(
    ids: readonly string[],
    binary: boolean,
    wait: WaitOptions,
  ): Promise<readonly (RawEntry | undefined)[]> {
    const key = this.#keys.redrive(this.#group)
    return this.#core.connections.call(
      'data',
      this.#keys.tag,
      (session) =>
        Promise.all(
          ids.map(async (id) => {
            const found = storedEntries(await session.client.callBuffer('xrange', key, id, id))
            return found[0] === undefined ? undefined : rawEntry(found[0], binary)
          }),
        ),
      wait,
    )
  }

  #caller({ name, token, stamp }: Identity): ScriptArgument[] {
    return [this.#group, name, token, stamp]
  }

  #stateAndRedrive(): string[] {
    return [this.#keys.state(this.#group), this.#keys.redrive(this.#group)]
  }

  async #evaluate(
    purpose: 'control' | 'data',
    script: Script,
    keys: readonly string[],
    args: readonly ScriptArgument[],
    wait: WaitOptions,
  ): Promise<unknown[]> {
    const reply = await this.#core.connections.call(
      purpose,
      this.#keys.tag,
      (session) => evaluate(session, script, keys, args),
      wait,
    )
    return reply as unknown[]
  }
}

function rawEntry([id, fields]: StoredEntry, binary: boolean): RawEntry {
  return [id, binary ? fields : fields.map(String)]
}

function pendingRedrives(flat: readonly unknown[]): PendingRedrive[] {
  const entries: PendingRedrive[] = []
  for (let i = 0; i + 4 < flat.length; i += 5) {
    const [id, idleMs, attempt, eventId, suspect] = flat.slice(i, i + 5)
    entries.push({
      id: String(id),
      idleMs: Number(idleMs),
      attempt: Number(attempt),
      eventId: String(eventId),
      suspect: suspect === '1',
    })
  }
  return entries
}
