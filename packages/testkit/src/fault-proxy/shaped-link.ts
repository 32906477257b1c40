import type { Socket } from 'node:net'

/** What a link does to the bytes that pass. Read at every chunk, so that changes count at once. */
export interface LinkConditions {
  readonly latencyMs: number
  readonly jitterMs: number
  readonly bytesPerSecond: number
  /** Nothing arrives while this is true; what was sent arrives when it no longer is, as TCP retransmits. */
  readonly held: boolean
}

interface Parcel {
  readonly bytes: Buffer
  readonly dueAt: number
  /** Runs when all bytes up to and including this parcel's have been given to the kernel. */
  readonly after?: (() => void) | undefined
}

const NOTHING = Buffer.alloc(0)
const HIGH_WATER_BYTES = 1024 * 1024
/** A throttled chunk travels in pieces of this many milliseconds, so that it trickles and does not lurch. */
const PIECE_MS = 20

/** One direction of a connection: delays, throttles and holds bytes, and keeps their order. */
export class ShapedLink {
  readonly #from: Socket
  readonly #to: Socket
  readonly #conditions: LinkConditions
  #queue: Parcel[] = []
  #queuedBytes = 0
  #lastDueAt = 0
  #lineFreeAt = 0
  #timer: NodeJS.Timeout | undefined
  #clogged = false

  constructor(from: Socket, to: Socket, conditions: LinkConditions) {
    this.#from = from
    this.#to = to
    this.#conditions = conditions
    const unclog = (): void => {
      this.#clogged = false
      this.pump()
    }
    to.on('drain', unclog)
    // What is left for a side that has gone is dropped, so that the other side's end can be relayed.
    to.on('close', unclog)
  }

  send(bytes: Buffer): void {
    for (const piece of this.#pieces(bytes)) this.#enqueue(piece)
    this.pump()
  }

  /** Does something at the point of the byte stream that has been reached: a FIN or a reset keep their place. */
  afterwards(action: () => void): void {
    this.#enqueue(NOTHING, action)
    this.pump()
  }

  /** Delivers what is due. To be called when the conditions have changed. */
  pump(): void {
    clearTimeout(this.#timer)
    while (!this.#conditions.held && !this.#clogged) {
      const parcel = this.#queue[0]
      if (!parcel) break
      const waitMs = parcel.dueAt - performance.now()
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.pump(), waitMs)
        break
      }
      this.#queue.shift()
      this.#queuedBytes -= parcel.bytes.length
      this.#deliver(parcel)
    }
    if (this.#queuedBytes < HIGH_WATER_BYTES && this.#from.isPaused()) this.#from.resume()
  }

  /** Forgets what is on the way. */
  discard(): void {
    clearTimeout(this.#timer)
    this.#queue = []
    this.#queuedBytes = 0
  }

  #deliver(parcel: Parcel): void {
    if (!this.#to.writable) {
      parcel.after?.()
      return
    }
    const { after } = parcel
    this.#clogged = !this.#to.write(parcel.bytes, after ? () => after() : undefined)
  }

  #enqueue(bytes: Buffer, after?: () => void): void {
    const { latencyMs, jitterMs, bytesPerSecond } = this.#conditions
    const now = performance.now()
    const transmitMs = Number.isFinite(bytesPerSecond) ? (bytes.length / bytesPerSecond) * 1000 : 0
    this.#lineFreeAt = Math.max(this.#lineFreeAt, now) + transmitMs
    const dueAt = Math.max(this.#lastDueAt, this.#lineFreeAt + latencyMs + Math.random() * jitterMs)
    this.#lastDueAt = dueAt
    this.#queue.push({ bytes, dueAt, after })
    this.#queuedBytes += bytes.length
    if (this.#queuedBytes >= HIGH_WATER_BYTES) this.#from.pause()
  }

  #pieces(bytes: Buffer): readonly Buffer[] {
    const { bytesPerSecond } = this.#conditions
    if (!Number.isFinite(bytesPerSecond)) return [bytes]
    const size = Math.max(1, Math.floor((bytesPerSecond * PIECE_MS) / 1000))
    const pieces: Buffer[] = []
    for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size))
    return pieces
  }
}
