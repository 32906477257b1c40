import { closeSync, openSync, readSync, writeSync } from 'node:fs'

/** One line of a process's journal: an event that it published and saw confirmed, or that it handled. */
export interface JournalEntry {
  readonly sequence: number
  readonly id: string
  readonly publishedAtMs: number
  /** When the handler was called; for the producer: when Redis had confirmed. */
  readonly atMs: number
  readonly redelivered: boolean
}

/**
 * Each process writes down what it has done, one line at a time and not buffered, at the end of a file
 * of its own. What was written survives SIGKILL, so the files are what the proof counts; what a killed
 * process had done without writing it down counts as not done.
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

const CHUNK_BYTES = 64 * 1024

/** Reads a journal while it grows. */
export class JournalReader {
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

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file)
    this.#file = undefined
  }
}

export function formatEntry(entry: JournalEntry): string {
  const { sequence, id, publishedAtMs, atMs, redelivered } = entry
  return `${sequence} ${id} ${publishedAtMs.toFixed(3)} ${atMs.toFixed(3)} ${redelivered ? 1 : 0}\n`
}

/** @throws Error when the line was not written by a journal */
function parseEntry(line: string): JournalEntry {
  const match = /^(\d+) (\d+-\d+) ([\d.]+) ([\d.]+) ([01])$/.exec(line)
  if (match === null) throw new Error(`this is no line of a journal: ${JSON.stringify(line)}`)
  return {
    sequence: Number(match[1]),
    id: match[2] ?? '',
    publishedAtMs: Number(match[3]),
    atMs: Number(match[4]),
    redelivered: match[5] === '1',
  }
}
