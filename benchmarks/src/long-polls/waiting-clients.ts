import { connect, type Socket } from 'node:net'
import { nowUs, type TimedEvent } from '../load/timed-event.ts'

/** An answer as all get it who asked for the same, read once for all of them. */
interface Answer {
  /** The answer's bytes; whoever gets the same ones got this answer. */
  readonly bytes: Buffer
  readonly items: readonly TimedEvent[]
  /** What each of them asks next. */
  readonly next: Buffer
}

export interface Arrival {
  readonly item: TimedEvent
  readonly atUs: number
}

/**
 * As many long-polling clients as wanted, each on a connection of its own, with as little work as can be for each
 * answer: one buffer for all reads, requests that are made once, and a body that is parsed once for all who get
 * the same. Whoever measures a server together with a thousand clients on two cores measures the clients else.
 */
export class WaitingClients {
  readonly #url: URL
  readonly #waitS: number
  readonly #hear: (poller: number, arrival: Arrival) => boolean
  readonly #buffer = Buffer.allocUnsafe(256 * 1024)
  #last: Answer | undefined
  /** Who asks again once the answers that come just now have been read. */
  #asking: (() => void)[] = []
  #hasRead = false
  #requests = 0

  /** @param hear is told of each item; answers whether the poller has got all that it wants */
  constructor(url: string, waitS: number, hear: (poller: number, arrival: Arrival) => boolean) {
    this.#url = new URL(url)
    this.#waitS = waitS
    this.#hear = hear
  }

  get requests(): number {
    return this.#requests
  }

  /** Resolves when the poller has got all that it wants. */
  poll(poller: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    // Of an answer that does not come in one piece.
    let begun: Buffer | undefined
    const read = (count: number): void => {
      const atUs = nowUs()
      this.#hasRead = true
      const piece = this.#buffer.subarray(0, count)
      const bytes = begun === undefined ? piece : Buffer.concat([begun, piece])
      const answer = this.#read(bytes)
      begun = answer === undefined ? Buffer.from(bytes) : undefined
      if (answer === undefined) return
      let isDone = false
      for (const item of answer.items) isDone = this.#hear(poller, { item, atUs })
      if (isDone) {
        socket.destroy()
        resolve()
      } else this.#askLater(socket, answer.next)
    }
    const socket = connect({
      port: Number(this.#url.port),
      host: this.#url.hostname,
      noDelay: true,
      onread: {
        buffer: this.#buffer,
        callback: (count) => {
          try {
            read(count)
          } catch (error) {
            socket.destroy()
            reject(error instanceof Error ? error : new Error(String(error)))
          }
          return true
        },
      },
    })
    socket.on('error', reject)
    socket.on('close', () => {
      reject(new Error('the server closed a connection'))
    })
    this.#ask(socket, this.#request(null))
    return promise
  }

  /** The answer, once all of it is here. */
  #read(bytes: Buffer): Answer | undefined {
    if (this.#last?.bytes.equals(bytes) === true) return this.#last
    const endOfHead = bytes.indexOf('\r\n\r\n')
    if (endOfHead === -1) return undefined
    const head = bytes.toString('latin1', 0, endOfHead)
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1]
    if (length === undefined) throw new Error(`an answer without a length: ${head}`)
    const body = bytes.subarray(endOfHead + 4)
    if (body.length < Number(length)) return undefined
    const text = body.toString()
    if (body.length > Number(length) || !head.startsWith('HTTP/1.1 200 ')) {
      throw new Error(`not the answer that is due: ${head}\n${text}`)
    }
    const { items, cursor } = JSON.parse(text) as {
      readonly items: readonly TimedEvent[]
      readonly cursor: string | null
    }
    this.#last = { bytes: Buffer.from(bytes), items, next: this.#request(cursor) }
    return this.#last
  }

  #request(cursor: string | null): Buffer {
    const since = cursor === null ? '' : `&since=${encodeURIComponent(cursor)}`
    const { pathname, host } = this.#url
    return Buffer.from(
      `GET ${pathname}?wait=${this.#waitS}${since} HTTP/1.1\r\nHost: ${host}\r\nConnection: keep-alive\r\n\r\n`,
    )
  }

  /**
   * Nobody's next question delays the reading of another one's answer, as it would not if each were on a machine
   * of its own: all ask once a turn of the event loop has brought no more answers.
   */
  #askLater(socket: Socket, request: Buffer): void {
    if (this.#asking.length === 0) setImmediate(this.#askWhenQuiet)
    this.#asking.push(() => {
      this.#ask(socket, request)
    })
  }

  readonly #askWhenQuiet = (): void => {
    if (this.#hasRead) {
      this.#hasRead = false
      setImmediate(this.#askWhenQuiet)
      return
    }
    const asking = this.#asking
    this.#asking = []
    for (const ask of asking) ask()
  }

  #ask(socket: Socket, request: Buffer): void {
    this.#requests += 1
    socket.write(request)
  }
}
