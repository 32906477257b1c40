import { FramingError } from './reply-framing.ts'

/** A command as the client sent it: its name and arguments. */
export type CommandBytes = readonly Buffer[]

const LINE_FEED = 0x0a
const CR_LF_LENGTH = 2

/**
 * Reads a client's byte stream: arrays of bulk strings, as every client library sends them, and the plain
 * lines that a person types into a terminal.
 */
export class CommandReader {
  #line = ''
  #argumentsLeft = 0
  #arguments: Buffer[] = []
  /** The argument being read, with room for its line end. */
  #argument: Buffer | undefined
  #filled = 0

  /** Takes the next bytes and answers the commands that are complete with them. */
  feed(chunk: Buffer): readonly CommandBytes[] {
    const commands: CommandBytes[] = []
    let at = 0
    while (at < chunk.length) {
      at = this.#argument
        ? this.#fillArgument(this.#argument, chunk, at)
        : this.#readLine(chunk, at, commands)
      if (this.#arguments.length > 0 && this.#argumentsLeft === 0) {
        commands.push(this.#arguments)
        this.#arguments = []
      }
    }
    return commands
  }

  #fillArgument(argument: Buffer, chunk: Buffer, at: number): number {
    const copied = chunk.copy(argument, this.#filled, at)
    this.#filled += copied
    if (this.#filled === argument.length) {
      this.#arguments.push(argument.subarray(0, -CR_LF_LENGTH))
      this.#argumentsLeft -= 1
      this.#argument = undefined
    }
    return at + copied
  }

  #readLine(chunk: Buffer, at: number, commands: CommandBytes[]): number {
    const lineFeed = chunk.indexOf(LINE_FEED, at)
    const end = lineFeed === -1 ? chunk.length : lineFeed + 1
    this.#line += chunk.toString('latin1', at, end)
    if (lineFeed === -1) return end
    const line = this.#line.trimEnd()
    this.#line = ''
    if (this.#argumentsLeft > 0) this.#startArgument(line)
    else if (line.startsWith('*')) this.#argumentsLeft = Math.max(0, count(line))
    else if (line !== '')
      commands.push(line.split(/\s+/).map((word) => Buffer.from(word, 'latin1')))
    return end
  }

  #startArgument(line: string): void {
    if (!line.startsWith('$')) throw new FramingError(line)
    this.#argument = Buffer.allocUnsafe(count(line) + CR_LF_LENGTH)
    this.#filled = 0
  }
}

function count(line: string): number {
  const digits = /^.(-?\d+)$/.exec(line)?.[1]
  if (digits === undefined) throw new FramingError(line)
  return Number(digits)
}
