import type { StreamPause } from '../admin/pauses.ts'
import { channels } from '../diagnostics.ts'
import type { OwnLink } from '../connection/connections.ts'
import type { Session } from '../connection/session.ts'
import type { Core } from '../core.ts'
import { type ErrorCode, isMillraceError, messageOf, type MillraceError } from '../errors.ts'
import type { ReadFacts } from '../health/read-health.ts'
import { newNonce } from '../lease/token.ts'
import { pause } from '../lifecycle/signals.ts'
import type { Joined, Refusal } from './answers.ts'
import type { GroupCommands } from './commands.ts'
import { GapWatch } from './gap-watch.ts'
import { Keeper } from './keeper.ts'
import { leaseLost } from './lease-lost.ts'
import { Membership } from './membership.ts'
import type { ResolvedGroupOptions } from './options.ts'
import { compareHoldings } from './reconcile.ts'
import { Reader } from './reader.ts'
import type { Workbench } from './workbench.ts'

export interface MemberLoopPorts {
  /** It has become a member, for the first time or again. */
  joined(): void
  /** Whether whoever administers the stream has paused the group. */
  notePause(pause: StreamPause | undefined): void
  /** Nothing but another configuration helps. */
  stop(error: MillraceError): void
}

/** Trying again does not mend these. */
const FATAL: ReadonlySet<ErrorCode> = new Set(['KEY_TYPE', 'NAME_IN_USE', 'STREAM_MISMATCH'])
/** Nor these, unless it has worked before: then somebody is changing passwords or rights. */
const FATAL_AT_FIRST: ReadonlySet<ErrorCode> = new Set([
  'AUTH_FAILED',
  'PERMISSION_DENIED',
  'SERVER_UNSUPPORTED',
])

const FIRST_BACKOFF_MS = 20
const GREATEST_BACKOFF_MS = 2_000

/**
 * The supervised loop of a member: a reading connection, a membership, and again, until it is closed.
 * Whatever goes wrong ends the connection, never the loop. Handlers run on meanwhile: a membership
 * lasts until its successor has taken over its entries, or somebody else has.
 */
export class MemberLoop<Data> {
  readonly #core: Core
  readonly #commands: GroupCommands
  readonly #options: ResolvedGroupOptions
  readonly #workbench: Workbench<Data>
  readonly #binary: boolean
  readonly #ports: MemberLoopPorts
  readonly #facts: { readonly stream: string; readonly name: string }
  readonly #link: OwnLink
  readonly #closing = new AbortController()
  readonly #gaps: GapWatch
  readonly #verify: (signal: AbortSignal) => Promise<void>
  #session: Session | undefined
  #reader: Reader | undefined
  #current: Membership | undefined
  #keeper: Keeper<Data> | undefined
  #keeping: Promise<void> = Promise.resolve()
  /** From the first attempt at joining until it has succeeded: the old token may be void already. */
  #joining = false
  #nonce = newNonce()
  #failures = 0
  #everJoined = false
  #confirmedMs: number | undefined
  #restedMs: number | undefined
  #trouble = ''

  constructor(
    core: Core,
    commands: GroupCommands,
    options: ResolvedGroupOptions,
    workbench: Workbench<Data>,
    stream: {
      readonly name: string
      readonly binary: boolean
      verify(signal: AbortSignal): Promise<void>
    },
    ports: MemberLoopPorts,
  ) {
    this.#core = core
    this.#commands = commands
    this.#options = options
    this.#workbench = workbench
    this.#binary = stream.binary
    this.#verify = (signal) => stream.verify(signal)
    this.#ports = ports
    this.#facts = { stream: stream.name, name: options.name }
    this.#gaps = new GapWatch(this.#facts, options.onGap, (error) => {
      // Nothing that lies behind the gap is to be started.
      this.#closing.abort()
      ports.stop(error)
    })
    this.#link = core.connections.own('group', commands.keys.tag, core.options.blockMs)
  }

  /** How its reading stands. */
  reading(): Pick<
    ReadFacts,
    'confirmedMs' | 'holdsLease' | 'isFull' | 'phase' | 'restedMs' | 'trouble'
  > {
    const nowMs = this.#core.clock.monotonicMs()
    return {
      phase: this.#everJoined ? 'reading' : 'starting',
      confirmedMs: this.#confirmedMs,
      restedMs: this.#restedMs,
      holdsLease: this.#current !== undefined && nowMs < this.#current.trustedUntilMs,
      isFull: this.#reader?.isWaiting ?? false,
      trouble: this.#trouble,
    }
  }

  /** Resolves when nothing is read any more, after {@link stopReading}. */
  async run(): Promise<void> {
    const { signal } = this.#closing
    while (!signal.aborted) {
      try {
        await this.#stay(signal)
      } catch (error) {
        if (signal.aborted || this.#core.connections.closed.aborted) return
        await this.#failed(error)
      }
    }
  }

  /** Ends reading, the hard way once the signal fires; the membership goes on. */
  async stopReading(hurry: AbortSignal): Promise<void> {
    this.#closing.abort()
    await this.#reader?.interrupt(hurry)
    this.#session?.end('the member reads no more')
  }

  /** Ends a read that is blocked, because nothing is wanted just now. */
  async interruptRead(): Promise<void> {
    await this.#reader?.interrupt()
  }

  /** Room for entries of others has come about. */
  claimMore(): void {
    void this.#keeper?.claim()
  }

  /** Gives up the membership and everything that is still pending for it, within the time. */
  async leave(deadlineMs: number): Promise<void> {
    const membership = this.#current
    if (membership === undefined) return
    try {
      await this.#commands.leave(membership.identity, { deadlineMs })
      this.#publishLease('released', membership, 'closed')
    } catch (error) {
      channels.loopFailed.publish({ loop: 'leave', ...this.#facts, error: error as Error })
    }
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#current?.end(leaseLost('the member was closed', this.#facts))
    this.#session?.end('the member was closed')
    this.#link.close()
    await this.#keeping
  }

  /** A script has refused to write for the membership. */
  refused(membership: Membership, refusal: Refusal): void {
    if (membership !== this.#current || this.#joining) return
    // The reading connection first: a read under a revoked name would take the next event.
    this.#session?.end(`the group answered ${refusal}`)
    if (refusal === 'NOGROUP') return
    this.#current = undefined
    const reason = leaseLost(REFUSALS[refusal], this.#facts)
    this.#workbench.membership = undefined
    this.#workbench.forget(reason)
    membership.end(reason)
    this.#publishLease('lost', membership, REFUSALS[refusal])
  }

  async #stay(signal: AbortSignal): Promise<void> {
    await this.#verify(signal)
    const session = await this.#link.session({ signal })
    this.#session = session
    try {
      const membership = await this.#join(signal)
      this.#reader = new Reader(
        this.#core,
        this.#commands,
        session,
        membership.identity,
        this.#binary,
        this.#workbench,
        () => {
          this.#failures = 0
          this.#trouble = ''
          this.#confirmedMs = this.#core.clock.monotonicMs()
        },
        () => {
          this.#restedMs = this.#core.clock.monotonicMs()
        },
      )
      await this.#reader.run(signal)
    } catch (error) {
      // Nobody waits for another route when nothing will be read any more.
      if (!signal.aborted) await this.#core.connections.noteTrouble(session, error)
      throw error
    } finally {
      this.#reader = undefined
      session.end('the stay is over')
    }
  }

  async #join(signal: AbortSignal): Promise<Membership> {
    const predecessor = this.#current
    const workbench = this.#workbench
    this.#joining = true
    workbench.suspend()
    const sentMs = this.#core.clock.monotonicMs()
    const joined = await this.#commands.join(this.#nonce, predecessor?.identity, { signal })
    this.#nonce = newNonce()
    if (joined === 'REVOKED') throw leaseLost('joining took longer than the lease', this.#facts)
    this.#joining = false
    const { identity, pending } = joined
    const membership = new Membership(identity, this.#options.leaseMs, sentMs)
    this.#current = membership
    predecessor?.end(leaseLost('its successor has taken over', this.#facts))
    const succeeds = joined.predecessor === 'OK' && predecessor?.identity.stamp === identity.stamp
    if (predecessor !== undefined && !succeeds) {
      const reason = leaseLost(
        `its predecessor was ${joined.predecessor.toLowerCase()}`,
        this.#facts,
      )
      workbench.forget(reason)
      this.#publishLease('lost', predecessor, reason.message)
    }
    const { unknown, missing } = compareHoldings(
      pending,
      [...workbench.holdings.all()],
      workbench.holdings,
    )
    workbench.adopt(unknown, { redelivered: false, quarantined: false })
    this.#announce(joined, membership)
    this.#ports.notePause(joined.pause)
    workbench.membership = membership
    this.#keep(membership)
    if (joined.gap !== undefined) this.#gaps.meet(joined.gap)
    await workbench.restore(missing, this.#commands, membership)
    return membership
  }

  #keep(membership: Membership): void {
    const refused = (of: Membership, refusal: Refusal): void => {
      this.refused(of, refusal)
    }
    const keeper = new Keeper(
      this.#core,
      this.#commands,
      membership,
      this.#workbench,
      refused,
      this.#gaps,
      (asked) => {
        this.#ports.notePause(asked)
      },
      () => this.#reader?.caughtUp() ?? Promise.resolve(),
      this.#facts,
    )
    this.#keeper = keeper
    this.#keeping = Promise.all([this.#keeping, keeper.run()]).then(() => undefined)
  }

  #announce(joined: Joined, membership: Membership): void {
    this.#everJoined = true
    this.#publishLease('acquired', membership, joined.outcome)
    if (joined.outcome === 'group-recreated' || joined.outcome === 'recreated') {
      channels.positionChanged.publish({
        ...this.#facts,
        change: joined.outcome,
        from: joined.oldPosition,
        to: joined.position,
        detail:
          joined.outcome === 'recreated'
            ? 'the stream was created anew: the group starts at its beginning'
            : 'the native group had vanished: it goes on at its last checkpoint',
      })
    }
    this.#ports.joined()
  }

  async #failed(error: unknown): Promise<void> {
    this.#trouble = messageOf(error)
    if (isMillraceError(error) && this.#isFatal(error.code)) {
      this.#closing.abort()
      this.#ports.stop(error)
      return
    }
    // A membership that was lost has been told of; joining again is all there is to do.
    if (this.#current !== undefined || !this.#everJoined) {
      channels.loopFailed.publish({ loop: 'read', ...this.#facts, error: error as Error })
    }
    const backoffMs = Math.min(FIRST_BACKOFF_MS * 2 ** this.#failures++, GREATEST_BACKOFF_MS)
    await pause(this.#core.clock, backoffMs * (0.5 + Math.random() / 2), this.#closing.signal)
  }

  #isFatal(code: ErrorCode): boolean {
    return FATAL.has(code) || (!this.#everJoined && FATAL_AT_FIRST.has(code))
  }

  #publishLease(
    change: 'acquired' | 'lost' | 'released',
    { identity }: Membership,
    reason: string,
  ): void {
    channels.leaseChanged.publish({ ...this.#facts, change, token: identity.token, reason })
  }
}

const REFUSALS: Readonly<Record<Refusal, string>> = {
  GONE: 'the state of the group has vanished',
  NOGROUP: 'the native group has vanished',
  RECREATED: 'the stream or the native group was created anew',
  REVOKED: 'another member has claimed its entries',
}
