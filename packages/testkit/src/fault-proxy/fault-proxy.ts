import { connect, createServer, type Server, type Socket } from 'node:net'
import { freePort, LOOPBACK } from '../server/free-port.ts'
import { ProxiedConnection } from './proxied-connection.ts'
import { ReplyFaults } from './reply-faults.ts'
import type { LinkConditions } from './shaped-link.ts'

/** The way that bytes go through the proxy. */
export type Direction = 'toServer' | 'toClient' | 'both'

/** A TCP proxy in this process that a test puts between a client and a server, to make the network fail. */
export interface FaultProxy extends AsyncDisposable {
  readonly host: string
  readonly port: number
  /** `redis://host:port` of the proxy. */
  readonly url: string
  /** Client connections open now. */
  readonly connections: number
  /** Client connections accepted since the start. */
  readonly accepted: number
  /** Delay of every byte in each direction, in milliseconds: a round trip takes twice as much longer. */
  latencyMs: number
  /** Up to this much more delay, drawn for every chunk, in milliseconds; bytes keep their order. */
  jitterMs: number
  /** Rate of each direction of each connection; `Infinity` is no limit. */
  bytesPerSecond: number
  /**
   * Nothing arrives any more in this direction, and nobody is told. As TCP would retransmit it, what was
   * sent meanwhile arrives after {@link heal}. New connections are still accepted, unlike behind a cut
   * cable, and then hear nothing.
   */
  blackhole(direction: Direction): void
  /** New connections are refused. Those that exist stay; use {@link resetAll} to end them as well. */
  refuse(): Promise<void>
  /** Makes the network perfect again: ends `refuse` and `blackhole`, delays and limits, and disarms the reply faults. */
  heal(): Promise<void>
  /** Resets every connection (RST) on both sides. */
  resetAll(): void
  /** Ends every connection in the orderly way (FIN) on both sides. */
  finAll(): void
  /**
   * The next reply, on whichever connection it comes, and what follows it, is cut after so many bytes, and
   * the connection is reset. Resolves when that has happened.
   */
  cutReplyAfter(bytes: number): Promise<void>
  /**
   * Waits for the complete reply to the first command that matches, swallows it and resets the connection:
   * the command was executed, and the client cannot know. Replies before it arrive. A command that waits for
   * its reply when this is called counts too. Resolves when that has happened.
   *
   * @param matches sees the command's words as they were sent, `['xadd', 'key', '*', …]`; compare the name
   * whatever its case, since clients differ
   */
  dropNextReply(matches: (command: string[]) => boolean): Promise<void>
  /** Does the same to every n-th reply, counted from now over all connections; 0 ends it. */
  dropEveryNthReply(n: number): void
}

const LISTEN_DRAWS = 20

/** Starts a proxy on a free port of 127.0.0.1. */
export async function startFaultProxy(target: {
  readonly host: string
  readonly port: number
}): Promise<FaultProxy> {
  for (let draw = 1; ; draw += 1) {
    const proxy = new TcpFaultProxy(target, await freePort())
    try {
      await proxy.heal()
      return proxy
    } catch (error) {
      if (draw === LISTEN_DRAWS) throw error
    }
  }
}

class TcpFaultProxy implements FaultProxy {
  readonly host: string = LOOPBACK
  readonly port: number
  latencyMs = 0
  jitterMs = 0
  bytesPerSecond: number = Number.POSITIVE_INFINITY
  readonly #target: { readonly host: string; readonly port: number }
  readonly #faults = new ReplyFaults()
  readonly #connections = new Set<ProxiedConnection>()
  readonly #toServer: LinkConditions
  readonly #toClient: LinkConditions
  #listener: Server | undefined
  #held: { readonly toServer: boolean; readonly toClient: boolean } = {
    toServer: false,
    toClient: false,
  }
  #accepted = 0

  constructor(target: { readonly host: string; readonly port: number }, port: number) {
    this.#target = target
    this.port = port
    this.#toServer = this.#conditions(() => this.#held.toServer)
    this.#toClient = this.#conditions(() => this.#held.toClient)
  }

  get url(): string {
    return `redis://${this.host}:${this.port}`
  }

  get connections(): number {
    return this.#connections.size
  }

  get accepted(): number {
    return this.#accepted
  }

  blackhole(direction: Direction): void {
    this.#held = {
      toServer: this.#held.toServer || direction !== 'toClient',
      toClient: this.#held.toClient || direction !== 'toServer',
    }
  }

  async refuse(): Promise<void> {
    const listener = this.#listener
    this.#listener = undefined
    // It stops listening at once; the callback would come only after the last connection's end.
    listener?.close()
  }

  async heal(): Promise<void> {
    this.latencyMs = 0
    this.jitterMs = 0
    this.bytesPerSecond = Number.POSITIVE_INFINITY
    this.#held = { toServer: false, toClient: false }
    this.#faults.disarm()
    for (const connection of this.#connections) connection.pump()
    this.#listener ??= await this.#listen()
  }

  resetAll(): void {
    for (const connection of this.#connections) connection.reset()
  }

  finAll(): void {
    for (const connection of this.#connections) connection.finish()
  }

  cutReplyAfter(bytes: number): Promise<void> {
    return this.#faults.cutAfter(bytes)
  }

  dropNextReply(matches: (command: string[]) => boolean): Promise<void> {
    return this.#faults.dropNext(matches)
  }

  dropEveryNthReply(n: number): void {
    this.#faults.dropEvery(n)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.refuse()
    const open = [...this.#connections]
    for (const connection of open) connection.destroy()
    await Promise.all(open.map((connection) => connection.closed))
  }

  #listen(): Promise<Server> {
    const { promise, resolve, reject } = Promise.withResolvers<Server>()
    // Half-open, so that a FIN passes through as one and the other direction can still drain.
    const listener = createServer({ allowHalfOpen: true }, (client) => this.#accept(client))
    listener.once('error', reject)
    listener.listen({ host: this.host, port: this.port }, () => resolve(listener))
    return promise
  }

  #accept(client: Socket): void {
    this.#accepted += 1
    const { host, port } = this.#target
    const server = connect({ host, port, allowHalfOpen: true })
    const connection = new ProxiedConnection(
      client,
      server,
      { toServer: this.#toServer, toClient: this.#toClient },
      this.#faults,
    )
    this.#connections.add(connection)
    void connection.closed.then(() => this.#connections.delete(connection))
  }

  #conditions(held: () => boolean): LinkConditions {
    const shape = (): { latencyMs: number; jitterMs: number; bytesPerSecond: number } => this
    return {
      get latencyMs() {
        return shape().latencyMs
      },
      get jitterMs() {
        return shape().jitterMs
      },
      get bytesPerSecond() {
        return shape().bytesPerSecond
      },
      get held() {
        return held()
      },
    }
  }
}
