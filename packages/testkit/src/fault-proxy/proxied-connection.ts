import type { Socket } from 'node:net'
import type { ReplyFaults } from './reply-faults.ts'
import { type AccountedSegment, ReplyLedger } from './reply-ledger.ts'
import { type LinkConditions, ShapedLink } from './shaped-link.ts'

/** The two directions' conditions. */
export interface ConnectionConditions {
  readonly toServer: LinkConditions
  readonly toClient: LinkConditions
}

/** What becomes of the rest of the reply stream. */
type Fate =
  | { readonly kind: 'passing' }
  | { readonly kind: 'swallowing'; readonly done: () => void }
  | { readonly kind: 'cutting'; readonly bytesLeft: number; readonly done: () => void }
  /** The reset is on its way: nothing more passes. */
  | { readonly kind: 'ended' }

/** A client's connection and the proxy's own to the server, with the faults between them. */
export class ProxiedConnection {
  readonly closed: Promise<void>
  readonly #client: Socket
  readonly #server: Socket
  readonly #faults: ReplyFaults
  readonly #ledger = new ReplyLedger()
  readonly #toServer: ShapedLink
  readonly #toClient: ShapedLink
  #fate: Fate = { kind: 'passing' }

  constructor(
    client: Socket,
    server: Socket,
    conditions: ConnectionConditions,
    faults: ReplyFaults,
  ) {
    this.#client = client
    this.#server = server
    this.#faults = faults
    this.#toServer = new ShapedLink(client, server, conditions.toServer)
    this.#toClient = new ShapedLink(server, client, conditions.toClient)
    client.setNoDelay(true)
    server.setNoDelay(true)
    client.on('data', (chunk: Buffer) => this.#fromClient(chunk))
    server.on('data', (chunk: Buffer) => this.#fromServer(chunk))
    relayEnd(client, this.#toServer, server)
    relayEnd(server, this.#toClient, client)
    this.closed = Promise.all([closing(client), closing(server)]).then(() => {
      this.#toServer.discard()
      this.#toClient.discard()
    })
  }

  /** Lets what is on the way go on under changed conditions. */
  pump(): void {
    this.#toServer.pump()
    this.#toClient.pump()
  }

  /** Both sides see a reset (RST). */
  reset(): void {
    this.#fate = { kind: 'ended' }
    resetSocket(this.#client)
    resetSocket(this.#server)
  }

  /** Both sides see the other's orderly end (FIN). */
  finish(): void {
    this.#fate = { kind: 'ended' }
    this.#client.end()
    this.#server.end()
  }

  destroy(): void {
    this.#client.destroy()
    this.#server.destroy()
  }

  #fromClient(chunk: Buffer): void {
    this.#ledger.sent(chunk)
    this.#toServer.send(chunk)
  }

  #fromServer(chunk: Buffer): void {
    const passed: Buffer[] = []
    for (const segment of this.#ledger.received(chunk)) passed.push(this.#pass(segment))
    const bytes = passed.length === 1 && passed[0] ? passed[0] : Buffer.concat(passed)
    if (bytes.length > 0) this.#toClient.send(bytes)
    this.#endIfDone()
  }

  /** The part of the segment that goes on to the client. */
  #pass(segment: AccountedSegment): Buffer {
    const fate = this.#fateOf(segment)
    this.#fate = fate
    switch (fate.kind) {
      case 'passing':
        return segment.bytes
      case 'cutting': {
        const part = segment.bytes.subarray(0, fate.bytesLeft)
        this.#fate = { ...fate, bytesLeft: fate.bytesLeft - part.length }
        return part
      }
      case 'swallowing':
        // The whole reply has arrived: the command is known to have been executed.
        if (segment.closes) this.#fate = { kind: 'cutting', bytesLeft: 0, done: fate.done }
        return segment.bytes.subarray(0, 0)
      case 'ended':
        return segment.bytes.subarray(0, 0)
    }
  }

  #fateOf(segment: AccountedSegment): Fate {
    if (this.#fate.kind !== 'passing' || !segment.opens || !segment.answers) return this.#fate
    const verdict = this.#faults.judge(segment.answers)
    switch (verdict.action) {
      case 'pass':
        return this.#fate
      case 'drop':
        return { kind: 'swallowing', done: verdict.done }
      case 'cut':
        return { kind: 'cutting', bytesLeft: verdict.afterBytes, done: verdict.done }
    }
  }

  #endIfDone(): void {
    if (this.#fate.kind !== 'cutting' || this.#fate.bytesLeft > 0) return
    const { done } = this.#fate
    this.#fate = { kind: 'ended' }
    // Replies before this one still have to arrive.
    this.#toClient.afterwards(() => {
      this.reset()
      done()
    })
  }
}

/** Passes on a FIN or a reset of one side, in its place behind the bytes. */
function relayEnd(from: Socket, link: ShapedLink, to: Socket): void {
  let failed = false
  from.on('error', () => (failed = true))
  from.on('end', () => link.afterwards(() => to.end()))
  from.on('close', () => {
    if (failed) link.afterwards(() => resetSocket(to))
    else if (!from.readableEnded) link.afterwards(() => to.destroy())
  })
}

/**
 * Node refuses to reset a socket whose FIN is on its way, and then never says that it is closed. One that
 * is still connecting would be reset only later, when it may have been ended as well; nobody behind it has
 * seen anything yet. Both are simply closed.
 */
function resetSocket(socket: Socket): void {
  const isEnding = socket.writableEnded && !socket.writableFinished
  if (isEnding || socket.connecting) socket.destroy()
  else socket.resetAndDestroy()
}

function closing(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()))
}
