import { isAscii } from 'node:buffer'
import type { RawEntry } from '../stream/entry.ts'

/** What XREAD and XREADGROUP answer: the entries of each stream that has some. */
export type StreamReply = readonly (readonly [key: string, entries: readonly RawEntry[]])[]

/** What became of the bytes so far: all entries are there, more has to come, there are none, or an error came. */
export type Progress = 'complete' | 'more' | 'none' | 'refused'

const NOTHING = Buffer.alloc(0)

/**
 * Decodes one reply of XREAD or XREADGROUP out of the bytes as they arrive, in RESP2 or RESP3. It knows
 * the shape of what comes, and so needs a fraction of the time of a decoder for everything: no bytes are
 * wrapped one by one, and what is not complete is decoded again from the beginning of its entry.
 */
export class StreamReplyDecoder {
  /** Whether fields stay bytes; ids and keys are text in any case. */
  readonly #binary: boolean
  readonly #streams: [key: string, entries: RawEntry[]][] = []
  /** Names of fields, by their place in an entry: most often those of the entry before. */
  readonly #names: string[] = []
  #bytes: Buffer = NOTHING
  #at = 0
  /** Whether all that is in hand is plain ASCII, which is text without a look at each byte. */
  #plain = false
  /** What came since the decoder last stopped, and how much has to be there for it to get any further. */
  #waiting: Buffer[] = []
  #waitingBytes = 0
  #needed = 0
  /** Undefined before the beginning of the reply was decoded. */
  #streamsLeft: number | undefined
  /** Undefined before the beginning of a stream was decoded. */
  #entriesLeft: number | undefined
  /** In RESP2 each stream is a pair; in RESP3 they are a map. */
  #pairs = false
  #refusal = ''

  constructor(binary: boolean) {
    this.#binary = binary
  }

  /** Once it is complete. */
  get reply(): StreamReply {
    return this.#streams
  }

  /** What the server said when it refused. */
  get refusal(): string {
    return this.#refusal
  }

  /** What follows the reply. */
  get rest(): Buffer {
    return this.#bytes.subarray(this.#at)
  }

  /** @throws Error when the bytes are no reply of these commands after all */
  write(chunk: Buffer): Progress {
    this.#waiting.push(chunk)
    this.#waitingBytes += chunk.length
    if (this.#waitingBytes < this.#needed) return 'more'
    this.#bytes = this.#waiting.length === 1 ? chunk : Buffer.concat(this.#waiting)
    this.#at = 0
    this.#plain = !this.#binary && isAscii(this.#bytes)
    const progress = this.#advance()
    if (progress === 'more') {
      const left = this.rest
      this.#waiting = left.length === 0 ? [] : [left]
      this.#waitingBytes = left.length
      this.#bytes = NOTHING
      this.#at = 0
    }
    return progress
  }

  #advance(): Progress {
    if (this.#streamsLeft === undefined) {
      const progress = this.#begin()
      if (progress !== 'complete') return progress
    }
    for (;;) {
      if (this.#entriesLeft === undefined) {
        if (this.#streamsLeft === 0) return 'complete'
        if (!this.#beginStream()) return 'more'
      }
      const entries = this.#streams.at(-1)?.[1]
      while (this.#entriesLeft !== undefined && this.#entriesLeft > 0) {
        const entry = this.#entry()
        if (entry === undefined) return 'more'
        entries?.push(entry)
        this.#entriesLeft -= 1
      }
      this.#entriesLeft = undefined
      this.#streamsLeft = (this.#streamsLeft ?? 0) - 1
    }
  }

  /** How many streams follow. */
  #begin(): Progress {
    const type = this.#bytes[0]
    // One byte does not tell a null array from another one.
    if (this.#bytes.length < 2) return this.#stop(0)
    if (type === NULL || this.#bytes[1] === MINUS)
      return this.#line() === undefined ? 'more' : 'none'
    if (type === MINUS) {
      const line = this.#line()
      if (line === undefined) return 'more'
      this.#refusal = line
      return 'refused'
    }
    if (type !== ARRAY && type !== MAP)
      throw new Error(`A reply with entries begins with type ${String(type)}`)
    this.#at = 1
    const streams = this.#number()
    if (streams === MISSING) return this.#stop(0)
    this.#streamsLeft = streams
    this.#pairs = type === ARRAY
    return 'complete'
  }

  /** All of a line but its type, if its end is there. */
  #line(): string | undefined {
    const end = this.#bytes.indexOf('\r\n')
    if (end < 0) return this.#again(0)
    this.#at = end + 2
    return this.#bytes.toString('utf8', 1, end)
  }

  /** The key of a stream, and how many entries follow. */
  #beginStream(): boolean {
    const start = this.#at
    if (this.#pairs && this.#length(ARRAY) === MISSING) return this.#stopAt(start)
    const keyLength = this.#length(TEXT)
    if (keyLength === MISSING) return this.#stopAt(start)
    const from = this.#at
    if (!this.#skip(keyLength)) return this.#stopAt(start, from + keyLength + 2)
    const count = this.#length(ARRAY)
    if (count === MISSING) return this.#stopAt(start)
    this.#streams.push([this.#bytes.toString('utf8', from, from + keyLength), []])
    this.#entriesLeft = count
    return true
  }

  #entry(): RawEntry | undefined {
    const start = this.#at
    if (this.#length(ARRAY) === MISSING) return this.#again(start)
    const idLength = this.#length(TEXT)
    if (idLength === MISSING) return this.#again(start)
    const idFrom = this.#at
    if (!this.#skip(idLength)) return this.#again(start, idFrom + idLength + 2)
    const count = this.#length(ARRAY)
    if (count === MISSING) return this.#again(start)
    const fields: (string | Buffer)[] = []
    for (let i = 0; i < count; i++) {
      const length = this.#length(TEXT)
      if (length === MISSING) return this.#again(start)
      const from = this.#at
      if (!this.#skip(length)) return this.#again(start, from + length + 2)
      if (this.#binary) fields.push(this.#bytes.subarray(from, from + length))
      else if (i % 2 === 0) fields.push(this.#name(i, from, length))
      else fields.push(this.#text(from, from + length))
    }
    return [this.#bytes.toString('latin1', idFrom, idFrom + idLength), fields]
  }

  #text(from: number, to: number): string {
    return this.#bytes.toString(this.#plain ? 'latin1' : 'utf8', from, to)
  }

  #name(place: number, from: number, length: number): string {
    const last = this.#names[place]
    if (last?.length === length && isSame(last, this.#bytes, from)) return last
    return (this.#names[place] = this.#text(from, from + length))
  }

  /** Moves behind text of this length, if all of it is there. */
  #skip(length: number): boolean {
    this.#at += length + 2
    return this.#at <= this.#bytes.length
  }

  /** The length of what has this type. */
  #length(type: number): number {
    if (this.#at >= this.#bytes.length) return MISSING
    const found = this.#bytes[this.#at]
    if (found !== type) throw new Error(`A reply with entries has type ${String(found)} in it`)
    this.#at += 1
    return this.#number()
  }

  /** Digits up to the end of their line, if that is there. */
  #number(): number {
    const bytes = this.#bytes
    const last = bytes.length - 1
    let number = 0
    for (let at = this.#at; at < last; at++) {
      const digit = (bytes[at] as number) - ZERO
      if (digit === CARRIAGE_RETURN - ZERO) {
        this.#at = at + 2
        return number
      }
      if (digit < 0 || digit > 9)
        throw new Error('A reply with entries has no length where one is due')
      number = number * 10 + digit
    }
    return MISSING
  }

  /** @param end where the part that is known to follow ends */
  #stop(start: number, end = 0): 'more' {
    this.#at = start
    this.#needed = end - start
    return 'more'
  }

  #stopAt(start: number, end?: number): false {
    this.#stop(start, end)
    return false
  }

  #again(start: number, end?: number): undefined {
    this.#stop(start, end)
  }
}

function isSame(text: string, bytes: Buffer, from: number): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) !== bytes[from + i]) return false
  return true
}

const ARRAY = 42
const MAP = 37
const TEXT = 36
const MINUS = 45
const NULL = 95
const ZERO = 48
const CARRIAGE_RETURN = 13
const MISSING = -1
