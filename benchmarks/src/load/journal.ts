import { closeSync, openSync, writeSync } from 'node:fs'
import { readFile } from 'node:fs/promises'

/**
 * What a process has handled, written down number by number and not buffered: what was written survives
 * SIGKILL, and a handler that writes before it returns has written everything that may count as handled.
 */
export class Journal implements Disposable {
  readonly #file: number
  readonly #record: Float64Array

  constructor(path: string, numbersPerRecord: number) {
    this.#file = openSync(path, 'a')
    this.#record = new Float64Array(numbersPerRecord)
  }

  append(...numbers: readonly number[]): void {
    this.#record.set(numbers)
    writeSync(this.#file, this.#record)
  }

  [Symbol.dispose](): void {
    closeSync(this.#file)
  }
}

/** All numbers of a journal, one record after the other; none where nothing was written yet. */
export async function readJournal(path: string): Promise<Float64Array> {
  const bytes = await readFile(path)
  // Its own memory, which begins where a Float64Array may begin; a record that is cut off is left out.
  return new Float64Array(
    bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length - (bytes.length % 8)),
  )
}
