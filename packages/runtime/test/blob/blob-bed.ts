import { createHash } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BlobStore, defineStream, type EventStream, fileBlobStore } from '../../src/index.ts'
import type { Testbed } from '../open-millrace.ts'

export interface Document {
  readonly n: number
  readonly text: string
}

export const MIB: number = 1024 * 1024

/** A directory that goes with the test. */
export async function directory(bed: Testbed): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'blobs-'))
  bed.onClose(() => rm(path, { recursive: true, force: true }))
  return path
}

export async function fileStore(bed: Testbed): Promise<{ store: BlobStore; path: string }> {
  const path = await directory(bed)
  return { store: fileBlobStore({ directory: path }), path }
}

let streams = 0

/** A stream whose payloads above 1,000 bytes lie in the store. */
export function documents(
  options: { maxBytes?: number; key?: boolean } = {},
): EventStream<Document> {
  const { maxBytes, key = false } = options
  return defineStream<Document>(`documents-${++streams}`, {
    claimCheck: { aboveBytes: 1_000, ...(maxBytes === undefined ? {} : { maxBytes }) },
    ...(key ? { key: ({ n }: Document) => String(n % 2) } : {}),
  })
}

export function text(bytes: number, letter = 'x'): string {
  return letter.repeat(bytes)
}

/** All files below the directory, hidden ones too. */
export async function filesIn(path: string): Promise<string[]> {
  const found = await readdir(path, { recursive: true, withFileTypes: true })
  return found
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
}

export function sha256(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex')
}

/** A store that does what it is told to before it asks the real one. */
export class TroubledStore implements BlobStore {
  readonly name = 'a troubled store'
  readonly #inner: BlobStore
  gets = 0
  before: ((method: 'delete' | 'get' | 'put', key: string) => Promise<void> | void) | undefined

  constructor(inner: BlobStore) {
    this.#inner = inner
  }

  async put(...args: Parameters<BlobStore['put']>): Promise<void> {
    await this.before?.('put', args[0])
    await this.#inner.put(...args)
  }

  async get(...args: Parameters<BlobStore['get']>): ReturnType<BlobStore['get']> {
    this.gets++
    await this.before?.('get', args[0])
    return await this.#inner.get(...args)
  }

  async delete(...args: Parameters<BlobStore['delete']>): Promise<void> {
    await this.before?.('delete', args[0])
    await this.#inner.delete(...args)
  }

  list(...args: Parameters<BlobStore['list']>): ReturnType<BlobStore['list']> {
    return this.#inner.list(...args)
  }
}
