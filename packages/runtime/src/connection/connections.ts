import { isMillraceError, messageOf, MillraceError } from '../errors.ts'
import type { Clock } from '../lifecycle/clock.ts'
import { abortedError, pause, withDeadline } from '../lifecycle/signals.ts'
import { channels } from '../diagnostics.ts'
import { Link } from './link.ts'
import type { HostPort, ResolvedConnectOptions } from './options.ts'
import { fromRedis, isPassing, troubleOf } from './redis-errors.ts'
import { SentinelWatch } from './sentinel-watch.ts'
import { openSession, type Purpose, type Session } from './session.ts'
import { type Topology, topologyOf } from './topology.ts'

export interface WaitOptions {
  readonly signal?: AbortSignal | undefined
  /** @defaultValue the connection's `deadlineMs` */
  readonly deadlineMs?: number | undefined
}

/** After so long an attempt at a connection makes us ask whether it goes to the right node. */
const SLOW_OPENING_MS = 1_000

/**
 * All connections of one process to one Redis: for each node one for data and one for control, shared
 * by everything, and those that somebody needs for itself because they block (tails, members of
 * groups) or wait (durable publishing).
 */
export class Connections {
  readonly #options: ResolvedConnectOptions
  readonly #clock: Clock
  readonly #topology: Topology
  /** By node, then by purpose. */
  readonly #shared = new Map<string, Map<Purpose, Link>>()
  readonly #own = new Set<OwnLink>()
  readonly #closed = new AbortController()
  /** From the first connection on, where there are sentinels. */
  #watch: SentinelWatch | undefined

  constructor(options: ResolvedConnectOptions, clock: Clock) {
    this.#options = options
    this.#clock = clock
    this.#topology = topologyOf(options, clock)
  }

  /** Fires when everything was closed. */
  get closed(): AbortSignal {
    return this.#closed.signal
  }

  /** The shared connection to the node that serves the tag; waits while there is none. */
  session(purpose: 'control' | 'data', tag: string, wait: WaitOptions = {}): Promise<Session> {
    const current = this.#closed.signal.aborted ? undefined : this.current(purpose, tag)
    if (current !== undefined && wait.signal?.aborted !== true) return Promise.resolve(current)
    return this.#until(`${purpose} connection`, wait, async () => {
      const node = await this.#nodeFor(tag)
      return await this.#sharedLink(purpose, node).attempt()
    })
  }

  /** The shared connection, if it is there right now. */
  current(purpose: 'control' | 'data', tag: string): Session | undefined {
    const node = this.#topology.nodeFor(tag)
    return node === undefined ? undefined : this.#shared.get(node)?.get(purpose)?.current
  }

  /** A connection for one user alone, to the node that serves the tag. */
  own(purpose: 'durable' | 'group' | 'tail', tag: string, blockMs?: number): OwnLink {
    let node: string | undefined
    const link = new Link(async () => {
      node = await this.#nodeFor(tag)
      return await this.#open(purpose, node, blockMs)
    }, this.#clock)
    const own: OwnLink = {
      purpose,
      session: (wait = {}) => this.#until(`${purpose} connection`, wait, () => link.attempt()),
      get current() {
        return link.current
      },
      close: () => {
        this.#own.delete(own)
        link.close()
      },
      slotsChanged: () => {
        if (node !== undefined && node !== this.#topology.nodeFor(tag))
          link.abandon('its slot has moved')
      },
    }
    this.#own.add(own)
    return own
  }

  /**
   * Runs a call that may be repeated without harm (a read, or a script that checks before it writes)
   * until it succeeds, the deadline passes, or an error comes that waiting does not mend.
   */
  call<T>(
    purpose: 'control' | 'data',
    tag: string,
    work: (session: Session) => Promise<T>,
    wait: WaitOptions = {},
  ): Promise<T> {
    return this.#until('answer', wait, async (left) => {
      const session = await this.session(purpose, tag, { ...wait, deadlineMs: left })
      try {
        return await work(session)
      } catch (error) {
        await this.noteTrouble(session, error)
        throw error
      }
    })
  }

  /**
   * Does what an error asks for: a new slot map after a redirection, a new connection after a
   * demotion. Whoever sends on a session by itself reports its errors here.
   */
  async noteTrouble(session: Session, error: unknown): Promise<void> {
    const trouble = troubleOf(error)
    if (trouble === 'read-only') session.end(messageOf(error))
    if (
      trouble === 'moved' ||
      trouble === 'clusterdown' ||
      trouble === 'read-only' ||
      trouble === 'disconnected'
    ) {
      await this.#refresh()
    }
  }

  /** Whether the session still leads to the node that serves the tag. */
  serves(session: Session, tag: string): boolean {
    return !session.signal.aborted && this.#nodeOf.get(session) === this.#topology.nodeFor(tag)
  }

  /** How many connections are open, by purpose. */
  count(): Readonly<Record<Purpose, number>> {
    const count: Record<Purpose, number> = {
      control: 0,
      data: 0,
      discovery: this.#watch?.connections ?? 0,
      durable: 0,
      group: 0,
      tail: 0,
    }
    for (const links of this.#shared.values()) {
      for (const [purpose, link] of links) if (link.current !== undefined) count[purpose]++
    }
    for (const link of this.#own) if (link.current !== undefined) count[link.purpose]++
    return count
  }

  close(): void {
    this.#closed.abort()
    this.#watch?.close()
    for (const links of this.#shared.values()) for (const link of links.values()) link.close()
    for (const own of [...this.#own]) own.close()
    this.#shared.clear()
  }

  readonly #nodeOf = new WeakMap<Session, string>()

  async #open(purpose: Purpose, node: string, blockMs?: number): Promise<Session> {
    this.#watchSentinels()
    const session = await this.#lookingAgain(
      openSession({
        purpose,
        node: this.#topology.options(node),
        clientName: this.#options.clientName,
        connectTimeoutMs: this.#options.connectTimeoutMs,
        ...(blockMs === undefined ? {} : { blockMs }),
      }),
    )
    this.#nodeOf.set(session, node)
    channels.connectionOpened.publish({ purpose, node, server: session.server })
    session.signal.addEventListener(
      'abort',
      () => {
        channels.connectionClosed.publish({
          purpose,
          node,
          reason: messageOf(session.signal.reason),
        })
      },
      { once: true },
    )
    return session
  }

  #watchSentinels(): void {
    const { address, clientName, connectTimeoutMs } = this.#options
    if (address.kind !== 'sentinel' || this.#closed.signal.aborted) return
    this.#watch ??= new SentinelWatch(
      { node: address.node, clientName, connectTimeoutMs },
      (master) => {
        this.#masterReplaced(master)
      },
    )
  }

  /** Ends what leads elsewhere. Where names are announced instead of addresses, that is everything. */
  #masterReplaced(master: HostPort): void {
    const endElsewhere = ({ current }: { readonly current: Session | undefined }): void => {
      if (current === undefined) return
      const { host, port } = current.peer
      if (host === master.host && port === master.port) return
      current.end('the sentinels replaced the master')
    }
    for (const links of this.#shared.values()) links.forEach(endElsewhere)
    this.#own.forEach(endElsewhere)
  }

  #sharedLink(purpose: 'control' | 'data', node: string): Link {
    let links = this.#shared.get(node)
    if (links === undefined) this.#shared.set(node, (links = new Map()))
    let link = links.get(purpose)
    if (link === undefined) {
      link = new Link(() => this.#open(purpose, node), this.#clock)
      links.set(purpose, link)
    }
    return link
  }

  /** A node that takes its time may have been replaced meanwhile: the attempt is then given up. */
  async #lookingAgain(opening: Promise<Session>): Promise<Session> {
    let cancel = (): void => undefined
    const again = (): void => {
      cancel = this.#clock.after(SLOW_OPENING_MS, () => {
        void this.#refresh()
        again()
      })
    }
    again()
    try {
      return await opening
    } finally {
      cancel()
    }
  }

  async #nodeFor(tag: string): Promise<string> {
    if (this.#topology.nodeFor(tag) === undefined) await this.#topology.refresh()
    const node = this.#topology.nodeFor(tag)
    if (node !== undefined) return node
    throw new MillraceError('UNAVAILABLE', 'No node of the cluster serves the slot')
  }

  /** Learns anew who serves what, and lets go of connections that lead elsewhere. */
  async #refresh(): Promise<void> {
    try {
      await this.#topology.refresh()
    } catch {
      // Whoever goes on will meet the reason again.
      return
    }
    // A blocked read would hear only after a while that its slot has moved.
    for (const own of this.#own) own.slotsChanged()
    for (const [node, links] of this.#shared) {
      if (this.#topology.isInUse(node)) continue
      for (const link of links.values()) link.abandon('its node serves no slots')
    }
  }

  async #until<T>(
    what: string,
    wait: WaitOptions,
    attempt: (leftMs: number) => Promise<T>,
  ): Promise<T> {
    const deadlineMs = wait.deadlineMs ?? this.#options.deadlineMs
    const endMs = this.#clock.monotonicMs() + deadlineMs
    let lastError: unknown
    for (let pauseMs = 20; ; pauseMs = Math.min(pauseMs * 2, 500)) {
      if (this.#closed.signal.aborted) throw new MillraceError('CLOSED', 'Millrace was closed')
      if (wait.signal?.aborted === true) throw abortedError(wait.signal, `Waiting for ${what}`)
      const leftMs = Math.max(endMs - this.#clock.monotonicMs(), 1)
      try {
        return await withDeadline(
          this.#clock,
          attempt(leftMs),
          leftMs,
          () => unavailable(what, deadlineMs, lastError),
          wait.signal,
          `Waiting for ${what}`,
        )
      } catch (error) {
        const final = isMillraceError(error)
          ? error.code !== 'UNAVAILABLE'
          : !isPassing(troubleOf(error))
        if (final) throw fromRedis(error)
        lastError = error
      }
      if (this.#clock.monotonicMs() >= endMs) throw unavailable(what, deadlineMs, lastError)
      await this.#refresh()
      await pause(this.#clock, pauseMs, wait.signal)
    }
  }
}

/** A connection that one user has for itself. */
export interface OwnLink {
  readonly purpose: Purpose
  session(wait?: WaitOptions): Promise<Session>
  readonly current: Session | undefined
  close(): void
  /** Gives up the connection if it leads to where the tag is no longer served. */
  slotsChanged(): void
}

function unavailable(what: string, deadlineMs: number, lastError: unknown): MillraceError {
  const because = lastError === undefined ? 'no answer' : messageOf(lastError)
  return new MillraceError(
    'UNAVAILABLE',
    `Redis gave no ${what} within ${deadlineMs} ms: ${because}`,
    {
      cause: lastError,
    },
  )
}
