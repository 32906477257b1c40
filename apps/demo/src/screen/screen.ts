import type { WriteStream } from 'node:tty'

/** Where the demo tells what it does, line by line, above a picture of what goes on. */
export interface Screen {
  /** Says one thing; it stays. */
  say(line: string): void
  /** Shows how things stand; the next picture takes its place. */
  show(picture: Picture): void
  /** Takes the picture away. */
  clear(): void
}

/** How things stand, for a terminal that can be redrawn and for one that cannot. */
export interface Picture {
  readonly lines: readonly string[]
  readonly oneLine: string
}

export function createScreen(output: NodeJS.WriteStream): Screen {
  return output.isTTY ? new LiveScreen(output) : new PlainScreen(output)
}

const CLEAR_DOWN = '\u001B[0J'

/** Redraws the picture in place. */
class LiveScreen implements Screen {
  readonly #output: WriteStream
  #picture: readonly string[] = []
  #height = 0

  constructor(output: WriteStream) {
    this.#output = output
  }

  say(line: string): void {
    this.#draw(`${line}\n`)
  }

  show(picture: Picture): void {
    this.#picture = picture.lines
    this.#draw('')
  }

  clear(): void {
    this.#picture = []
    this.#draw('')
  }

  #draw(above: string): void {
    const back = this.#height === 0 ? '' : `\u001B[${this.#height}A`
    const { columns, rows } = this.#output
    // A picture that is wider or higher than the terminal could not be taken back.
    const lines = this.#picture.slice(0, Math.max(rows - 2, 1)).map((line) => fit(line, columns))
    this.#height = lines.length
    this.#output.write(`${back}\r${CLEAR_DOWN}${above}${lines.map((line) => `${line}\n`).join('')}`)
  }
}

const PLAIN_EVERY_MS = 2_000

/** Appends one line now and then. */
class PlainScreen implements Screen {
  readonly #output: NodeJS.WritableStream
  #saidAtMs = 0

  constructor(output: NodeJS.WritableStream) {
    this.#output = output
  }

  say(line: string): void {
    this.#output.write(`${line}\n`)
  }

  show(picture: Picture): void {
    const atMs = performance.now()
    if (atMs - this.#saidAtMs < PLAIN_EVERY_MS) return
    this.#saidAtMs = atMs
    this.say(picture.oneLine)
  }

  clear(): void {
    // Lines that were said stay said.
  }
}

function fit(line: string, columns: number): string {
  return line.length < columns ? line : `${line.slice(0, Math.max(columns - 2, 0))}…`
}
