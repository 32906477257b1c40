import { pauseOf } from '../admin/pauses.ts'
import { evaluate, type Script, type ScriptArgument } from '../connection/script.ts'
import type { WaitOptions } from '../connection/connections.ts'
import type { Session } from '../connection/session.ts'
import type { Core } from '../core.ts'
import { RedriveCommands } from '../dead-letters/group-commands.ts'
import { formatHost } from '../lease/host.ts'
import { MillraceError } from '../errors.ts'
import { reportedGap } from '../retention/gap.ts'
import { newIncarnation } from '../stream/incarnation.ts'
import type { RawEntry } from '../stream/entry.ts'
import type { StreamKeys } from '../stream/keys.ts'
import { FIRST_ID } from '../stream/stream-id.ts'
import {
  type BeatAnswer,
  type ClaimAnswer,
  type Identity,
  type Joined,
  otherMembers,
  type PendingEntry,
  pendingEntries,
  type Refusal,
  refusal,
  type Settled,
  type Settlement,
} from './answers.ts'
import type { ResolvedGroupOptions } from './options.ts'
import { beatScript } from './scripts/beat-script.ts'
import { claimScript } from './scripts/claim-script.ts'
import { deadLetterScript } from './scripts/dead-letter-script.ts'
import { joinScript } from './scripts/join-script.ts'
import { leaveScript } from './scripts/leave-script.ts'
import { pendingScript, restoreScript } from './scripts/reconcile-script.ts'
import { settleScript } from './scripts/settle-script.ts'

/** How long the record of a revoked name is kept once the native group has forgotten the name. */
const REVOKED_KEPT_SECONDS = 3_600

/**
 * The scripts of one consumer group, with their answers in shape. All of them may be repeated without
 * harm; the calls wait for Redis as the connection's deadline allows.
 */
export class GroupCommands {
  readonly keys: StreamKeys
  /** Those about redriven events. */
  readonly redrives: RedriveCommands
  readonly #core: Core
  readonly #options: ResolvedGroupOptions
  readonly #stream: string
  #everJoined = false

  constructor(core: Core, stream: string, keys: StreamKeys, options: ResolvedGroupOptions) {
    this.#core = core
    this.#stream = stream
    this.keys = keys
    this.redrives = new RedriveCommands(core, keys, options)
    this.#options = options
  }

  /**
   * @param nonce the same one until it has succeeded, because an answer may have been lost
   * @throws MillraceError `NAME_IN_USE`, `KEY_TYPE`, `UNAVAILABLE`
   */
  async join(
    nonce: string,
    predecessor: Identity | undefined,
    wait: WaitOptions,
  ): Promise<Joined | 'REVOKED'> {
    const { keys } = this
    const { name: group, member, leaseMs, start } = this.#options
    const name = `${member}:${nonce}`
    const reply = await this.#evaluate(
      'control',
      joinScript,
      [keys.stream, keys.meta, keys.state(group)],
      [
        keys.tag,
        newIncarnation(),
        group,
        name,
        nonce,
        leaseMs,
        formatHost(this.#core.host),
        // A group that vanished under its members is not to skip what came meanwhile.
        this.#everJoined ? FIRST_ID : start,
        predecessor?.name ?? '',
        predecessor?.token ?? '',
      ],
      wait,
    )
    const facts = { stream: this.#stream, name: group }
    if (reply[0] === 'NAME_IN_USE') {
      throw new MillraceError(
        'NAME_IN_USE',
        `${group} is a ${String(reply[1])} on ${this.#stream}, not a consumer group`,
        facts,
      )
    }
    if (reply[0] === 'TYPE') {
      throw new MillraceError(
        'KEY_TYPE',
        `The key ${String(reply[1])} holds a ${String(reply[2])}`,
        facts,
      )
    }
    if (reply[0] === 'REVOKED') return 'REVOKED'
    this.#everJoined = true
    const incarnation = String(reply[2])
    return {
      identity: {
        name,
        token: String(reply[1]),
        incarnation,
        stamp: `${incarnation}/${String(reply[3])}`,
      },
      outcome: String(reply[4]) as Joined['outcome'],
      oldPosition: String(reply[5]),
      position: String(reply[6]),
      predecessor: String(reply[7]) as Joined['predecessor'],
      expired: Number(reply[8]),
      pending: pendingEntries(reply[9]),
      gap: reportedGap(String(reply[10]), incarnation),
      pause: pauseOf(String(reply[11]), group),
    }
  }

  /**
   * @param toldGap the gap that was told of last, as it stood in the state; '' for none
   * @param onSend is told each time the script is sent, because a lease counts from there
   */
  async beat(
    identity: Identity,
    toldGap: string,
    onSend: () => void,
    wait: WaitOptions,
  ): Promise<BeatAnswer | Refusal> {
    const { keys } = this
    const group = this.#options.name
    const args = [
      ...this.#caller(identity),
      formatHost(this.#core.host),
      REVOKED_KEPT_SECONDS,
      toldGap,
    ]
    const reply = (await this.#core.connections.call(
      'control',
      keys.tag,
      (session) => {
        onSend()
        return evaluate(
          session,
          beatScript,
          [keys.stream, keys.meta, keys.state(group), keys.redrive(group)],
          args,
        )
      },
      wait,
    )) as unknown[]
    if (reply[0] !== 'OK') return refusal(reply)
    return {
      pending: Number(reply[1]),
      redrive: Number(reply[2]),
      entriesAdded: Number(reply[3]),
      lastId: String(reply[4]),
      others: otherMembers(reply[5] as readonly unknown[]),
      gap: reportedGap(String(reply[6]), identity.incarnation),
      pause: pauseOf(String(reply[7]), group),
    }
  }

  async settle(
    identity: Identity,
    { acks, attempts, releases }: Settlement,
    wait: WaitOptions,
  ): Promise<Settled | Refusal> {
    const args: ScriptArgument[] = [
      ...this.#caller(identity),
      `${identity.name}:released`,
      JSON.stringify(acks),
      attempts.length,
      releases.length,
    ]
    for (const { id, attempt } of attempts) args.push(id, attempt)
    for (const { id, idleMs, attempt } of releases) args.push(id, Math.round(idleMs), attempt)
    const reply = await this.#evaluate('data', settleScript, this.#streamAndState(), args, wait)
    if (reply[0] !== 'OK') return refusal(reply)
    return {
      gone: reply[1] as string[],
      foreign: reply[2] as string[],
      acked: Number(reply[3]),
    }
  }

  async claim(
    identity: Identity,
    from: string,
    record: string,
    most: number,
    wait: WaitOptions,
  ): Promise<ClaimAnswer | Refusal | 'CHANGED'> {
    const reply = await this.#evaluate(
      'control',
      claimScript,
      this.#streamAndState(),
      [...this.#caller(identity), from, record, most],
      wait,
    )
    if (reply[0] === 'CHANGED') return 'CHANGED'
    if (reply[0] !== 'OK') return refusal(reply)
    return {
      drained: reply[1] === 1,
      expired: Number(reply[2]),
      entries: pendingEntries(reply[3]),
    }
  }

  async deadLetter(
    identity: Identity,
    letter: { id: string; reason: string; attempts: number; error: string },
    wait: WaitOptions,
  ): Promise<'EXPIRED' | 'FULL' | 'OK' | 'SETTLED' | Refusal> {
    const reply = await this.#evaluate(
      'data',
      deadLetterScript,
      [...this.#streamAndState(), this.keys.dead(this.#options.name)],
      [
        ...this.#caller(identity),
        letter.id,
        letter.reason,
        letter.attempts,
        letter.error,
        this.#options.maxDeadLetters,
      ],
      wait,
    )
    return String(reply[0]) as 'EXPIRED' | 'FULL' | 'OK' | 'SETTLED' | Refusal
  }

  /** All entries that are pending for the member. */
  async pending(identity: Identity, wait: WaitOptions): Promise<readonly PendingEntry[] | Refusal> {
    const all: PendingEntry[] = []
    for (let from = '-'; ; from = `(${all.at(-1)?.id ?? ''}`) {
      const reply = await this.#evaluate(
        'control',
        pendingScript,
        this.#streamAndState(),
        [...this.#caller(identity), from, PENDING_PAGE],
        wait,
      )
      if (reply[0] !== 'OK') return refusal(reply)
      const page = pendingEntries(reply[1])
      all.push(...page)
      if (page.length < PENDING_PAGE) return all
    }
  }

  /** Makes entries pending again that are pending for nobody; answers those that are the member's now. */
  async restore(
    identity: Identity,
    entries: readonly { readonly id: string; readonly attempt: number }[],
    wait: WaitOptions,
  ): Promise<readonly string[] | Refusal> {
    const args = [...this.#caller(identity), ...entries.flatMap(({ id, attempt }) => [id, attempt])]
    const reply = await this.#evaluate('control', restoreScript, this.#streamAndState(), args, wait)
    return reply[0] === 'OK' ? (reply[1] as string[]) : refusal(reply)
  }

  async leave(identity: Identity, wait: WaitOptions): Promise<void> {
    const { name, token } = identity
    await this.#evaluate(
      'control',
      leaveScript,
      this.#streamAndState(),
      [this.#options.name, name, token],
      wait,
    )
  }

  /** The payloads of entries; undefined for those that have left the stream. */
  fetch(
    ids: readonly string[],
    binary: boolean,
    wait: WaitOptions,
  ): Promise<readonly (RawEntry | undefined)[]> {
    return this.#core.connections.call(
      'data',
      this.keys.tag,
      (session) =>
        Promise.all(
          ids.map(async (id) => {
            const reply = await command(session, binary, 'xrange', this.keys.stream, id, id)
            return rawEntries(reply, binary)[0]
          }),
        ),
      wait,
    )
  }

  /** The next events that no member has had. */
  async read(
    session: Session,
    identity: Identity,
    most: number,
    binary: boolean,
  ): Promise<readonly RawEntry[]> {
    const { name: group } = this.#options
    const { blockMs } = this.#core.options
    const reply = await session.reads.read(binary, 'xreadgroup', [
      ...['GROUP', group, identity.name, 'COUNT', most, 'BLOCK', blockMs],
      ...['STREAMS', this.keys.stream, '>'],
    ])
    return reply?.[0]?.[1] ?? []
  }

  #caller({ name, token, stamp }: Identity): ScriptArgument[] {
    return [this.#options.name, name, token, stamp]
  }

  #streamAndState(): string[] {
    return [this.keys.stream, this.keys.state(this.#options.name)]
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
      this.keys.tag,
      (session) => evaluate(session, script, keys, args),
      wait,
    )
    return reply as unknown[]
  }
}

const PENDING_PAGE = 500

/** Reads text where that is enough: bytes cost a fifth more. */
function command(
  session: Session,
  binary: boolean,
  name: string,
  ...args: (number | string)[]
): Promise<unknown> {
  return binary ? session.client.callBuffer(name, ...args) : session.client.call(name, ...args)
}

function rawEntries(reply: unknown, binary: boolean): readonly RawEntry[] {
  if (!binary) return reply as readonly RawEntry[]
  return (reply as readonly (readonly [Buffer, readonly Buffer[]])[]).map(
    ([id, fields]) => [String(id), fields] as const,
  )
}
