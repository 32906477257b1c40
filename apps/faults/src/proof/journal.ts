import { closeSync, existsSync, openSync, readSync, writeSync } from 'node:fs'

/** One line of a process's journal: an event that it saw accepted, or that it handled. */
export interface JournalEntry {
  readonly number: number
  readonly publishedAtMs: number
  /** When it was accepted or handled. */
  readonly atMs: number
}

/**
 * Each process writes down what it has done, a line at a time and not buffered, at the end of a file of
 * its own. What was written survives SIGKILL; what a killed process did without writing it down counts
 * as not done.
 */
export class Journal implements Disposable {
  readonly #file: number

  constructor(path: string) {
    this.#file = openSync(path, 'a')
  }

  append(entry: JournalEntry): void {
    writeSync(this.#file, formatEntry(entry))
  }

  [Symbol.dispose](): void {
    closeSync(this.#file)
  }
}

const CHUNK_BYTES = 256 * 1024

/** Reads a journal while it grows. */
export class JournalReader implements Disposable {
  readonly #path: string
  readonly #chunk = Buffer.alloc(CHUNK_BYTES)
  #file: number | undefined
  #offset = 0
  #rest = ''

  constructor(path: string) {
    this.#path = path
  }

  /** What came since the last call. A line without its end is left for later. */
  read(): JournalEntry[] {
    if (this.#file === undefined && !existsSync(this.#path)) return []
    this.#file ??= openSync(this.#path, 'r')
    const entries: JournalEntry[] = []
    for (;;) {
      const bytes = readSync(this.#file, this.#chunk, 0, CHUNK_BYTES, this.#offset)
      if (bytes === 0) return entries
      this.#offset += bytes
      const lines = (this.#rest + this.#chunk.toString('latin1', 0, bytes)).split('\n')
      this.#rest = lines.pop() ?? ''
      for (const line of lines) entries.push(parseEntry(line))
    }
  }

  [Symbol.dispose](): void {
    if (this.#file !== undefined) closeSync(this.#file)
    this.#file = undefined
  }
}

export function formatEntry({ number, publishedAtMs, atMs }: JournalEntry): string {
  return `${number} ${publishedAtMs.toFixed(3)} ${atMs.toFixed(3)}\n`
}

/** @throws Error when the line was not written by a journal */
export function parseEntry(line: string): JournalEntry {
  const match = /^(\d+) (\d+\.\d+) (\d+\.\d+)$/.exec(line)
  if (match === null) throw new Error(`this is no line of a journal: ${JSON.stringify(line)}`)
  return {
    number: Number(match[1]),
    publishedAtMs: Number(match[2]),
    atMs: Number(match[3]),
  }
}
