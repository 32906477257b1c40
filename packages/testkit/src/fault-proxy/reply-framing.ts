/** A stretch of a chunk that belongs to one frame. A frame that spans chunks comes in several. */
export interface Segment {
  readonly bytes: Buffer
  /** The frame begins with this segment. */
  readonly opens: boolean
  /** The frame ends with this segment. */
  readonly closes: boolean
  /** A push (RESP3) comes of itself; a reply answers a command. */
  readonly kind: 'reply' | 'push'
}

/** The bytes are not RESP2 or RESP3 as servers send it. */
export class FramingError extends Error {
  constructor(header: string) {
    super(`not a RESP frame: ${JSON.stringify(header.slice(0, 80))}`)
    this.name = 'FramingError'
  }
}

const CR_LF_LENGTH = 2
const LINE_FEED = 0x0a
const PUSH = '>'
/** Only the head of a line decides; the rest of a long error message need not be kept. */
const KEPT_OF_LINE = 64

/**
 * Finds where replies begin and end in a server's byte stream (RESP2 and RESP3), whatever way the network
 * has cut it into chunks. It looks at headers only and copies nothing: the segments are views of the chunk,
 * and joined together they are the chunk.
 */
export class ReplyFraming {
  /** Values still to come in each open aggregate, the innermost last. */
  readonly #open: number[] = []
  #header = ''
  /** Bytes of a bulk string, with its line end, still to come. */
  #bulkLeft = 0
  #kind: Segment['kind'] = 'reply'
  #insideFrame = false

  feed(chunk: Buffer): readonly Segment[] {
    const segments: Segment[] = []
    let start = 0
    let at = 0
    let opens = !this.#insideFrame
    while (at < chunk.length) {
      if (!this.#insideFrame) {
        this.#insideFrame = true
        this.#kind = chunk[at] === PUSH.charCodeAt(0) ? 'push' : 'reply'
      }
      const step = this.#bulkLeft > 0 ? this.#skipBulk(chunk, at) : this.#readHeader(chunk, at)
      at = step.at
      if (!step.valueEnds || !this.#frameEnds()) continue
      segments.push({ bytes: chunk.subarray(start, at), opens, closes: true, kind: this.#kind })
      this.#insideFrame = false
      start = at
      opens = true
    }
    if (start < chunk.length)
      segments.push({ bytes: chunk.subarray(start), opens, closes: false, kind: this.#kind })
    return segments
  }

  #skipBulk(chunk: Buffer, at: number): Step {
    const taken = Math.min(this.#bulkLeft, chunk.length - at)
    this.#bulkLeft -= taken
    return { at: at + taken, valueEnds: this.#bulkLeft === 0 }
  }

  #readHeader(chunk: Buffer, at: number): Step {
    const lineFeed = chunk.indexOf(LINE_FEED, at)
    const end = lineFeed === -1 ? chunk.length : lineFeed + 1
    if (this.#header.length < KEPT_OF_LINE)
      this.#header += chunk.toString('latin1', at, Math.min(end, at + KEPT_OF_LINE))
    if (lineFeed === -1) return { at: end, valueEnds: false }
    const header = this.#header
    this.#header = ''
    return { at: end, valueEnds: this.#startValue(header) }
  }

  /** Takes note of what the header announces; true when the value is complete with it. */
  #startValue(header: string): boolean {
    switch (header[0]) {
      case '+':
      case '-':
      case ':':
      case '_':
      case ',':
      case '#':
      case '(':
        return true
      case '$':
      case '=':
      case '!':
        return this.#startBulk(announced(header))
      case '*':
      case '~':
      case PUSH:
        return this.#startAggregate(announced(header))
      case '%':
        return this.#startAggregate(announced(header) * 2)
      case '|':
        // An attribute stands before the value it describes and counts as a part of it.
        return this.#startAggregate(announced(header) * 2 + 1)
      default:
        throw new FramingError(header)
    }
  }

  #startBulk(length: number): boolean {
    if (length < 0) return true
    this.#bulkLeft = length + CR_LF_LENGTH
    return false
  }

  #startAggregate(values: number): boolean {
    if (values <= 0) return true
    this.#open.push(values)
    return false
  }

  /** A value has ended; true when the whole frame has ended with it. */
  #frameEnds(): boolean {
    for (;;) {
      const left = this.#open.pop()
      if (left === undefined) return true
      if (left > 1) {
        this.#open.push(left - 1)
        return false
      }
    }
  }
}

interface Step {
  readonly at: number
  readonly valueEnds: boolean
}

function announced(header: string): number {
  const digits = /^.(-?\d+)\r\n$/.exec(header)?.[1]
  if (digits === undefined) throw new FramingError(header)
  return Number(digits)
}
