import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { crc32 } from 'node:zlib'

/**
 * Remembers beside a spool file how far it was committed. A damaged write-ahead log is cut back to
 * before the damage without a word; the mark is what tells that something is missing then. It is
 * written after each commit and not flushed, so after a power cut it may lag behind but never lead.
 */
export class Mark {
  readonly #path: string
  #descriptor: number | undefined

  constructor(spoolPath: string) {
    this.#path = markPath(spoolPath)
  }

  write(position: number): void {
    const text = String(position).padStart(16, '0')
    try {
      this.#descriptor ??= openSync(this.#path, 'w')
      writeSync(this.#descriptor, `${text} ${checksum(text)}\n`, 0)
    } catch {
      // The commit stands without it; the mark only lags behind.
    }
  }

  /** The greatest position that was committed for sure. */
  read(): number {
    let content: string
    try {
      content = readFileSync(this.#path, 'utf8')
    } catch {
      return 0
    }
    const [, text, sum] = /^(\d{16}) (\w{8})\n$/.exec(content) ?? []
    return text !== undefined && sum === checksum(text) ? Number(text) : 0
  }

  remove(): void {
    this.close()
    rmSync(this.#path, { force: true })
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor)
    this.#descriptor = undefined
  }
}

function markPath(spoolPath: string): string {
  return `${spoolPath}.mark`
}

function checksum(text: string): string {
  return crc32(text).toString(16).padStart(8, '0')
}
