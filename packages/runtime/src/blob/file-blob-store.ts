import { randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { link, mkdir, open, readdir, rename, rm, rmdir, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { messageOf, MillraceError } from '../errors.ts'
import { optionProblems, throwProblems } from '../lifecycle/options.ts'
import { throwIfAborted } from '../lifecycle/signals.ts'
import { type BlobStore, isBlobKey, type ListedBlob } from './blob-store.ts'

export interface FileBlobStoreOptions {
  /**
   * Where the blobs lie. It must be the same file system for all producers and consumers; it is made if it
   * is not there.
   */
  readonly directory: string
}

/** So that an option which is not given is named as a problem. */
const NOTHING_GIVEN: Partial<FileBlobStoreOptions> = { directory: '' }

/** Beside the blobs, on the same file system: what is being written. */
const INCOMING = '.incoming'
/** What was being written when a process died is removed after so long. */
const ABANDONED_AFTER_MS = 24 * 3_600_000
/** How much is written at once; in between the signal is looked at. */
const PIECE_BYTES = 4 * 1024 * 1024
/** A directory may be removed as empty between its making and its use. */
const MOST_TRIES = 5

/**
 * A blob store in a directory, for one host or a shared file system. A blob is written beside its place,
 * flushed to the disk, and only then given its name.
 * @throws MillraceError `OPTIONS_INVALID`
 */
export function fileBlobStore(options: FileBlobStoreOptions): BlobStore {
  throwProblems(
    'File blob store',
    optionProblems(
      { ...NOTHING_GIVEN, ...options },
      {
        directory: (v) => (typeof v === 'string' && v !== '') || 'must be the path of a directory',
      },
    ),
  )
  const root = resolve(options.directory)
  let tidied: Promise<void> | undefined
  const pathOf = (key: string): string => {
    if (!isBlobKey(key)) throw new Error(`${JSON.stringify(key)} is not a key of a blob`)
    return join(root, key)
  }
  return {
    name: `files in ${root}`,
    async put(key, content, { signal }) {
      const path = pathOf(key)
      const incoming = join(root, INCOMING)
      const temporary = join(incoming, `${process.pid}-${randomBytes(12).toString('hex')}`)
      try {
        await mkdir(incoming, { recursive: true })
        tidied ??= removeAbandoned(incoming).catch(() => {
          // What others have left behind keeps nobody from storing; the next one tries again.
          tidied = undefined
        })
        await tidied
        await writeDurably(temporary, content, signal)
        await giveName(temporary, path, root)
      } catch (error) {
        throw isFull(error) ? fullError(root, key, error) : error
      } finally {
        // Also after a failure: half a blob would fill the disk further.
        await rm(temporary, { force: true })
      }
    },
    async get(key) {
      const path = pathOf(key)
      try {
        if (!(await stat(path)).isFile()) return undefined
      } catch (error) {
        if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined
        throw error
      }
      return piecesOf(path)
    },
    async delete(key) {
      const path = pathOf(key)
      await rm(path, { force: true })
      // The day's directory goes with its last blob.
      await rmdir(dirname(path)).catch(() => undefined)
    },
    list: (prefix, { signal }) => walk(root, prefix.replace(/\/$/, ''), signal),
  }
}

async function writeDurably(path: string, content: Uint8Array, signal: AbortSignal): Promise<void> {
  const file = await open(path, 'wx')
  try {
    for (let at = 0; at < content.length; at += PIECE_BYTES) {
      throwIfAborted(signal, 'Storing a blob')
      await file.writeFile(content.subarray(at, at + PIECE_BYTES))
    }
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Makes the blob visible as a whole, and the name durable; never replaces another blob. */
async function giveName(temporary: string, path: string, root: string): Promise<void> {
  const directory = dirname(path)
  for (let tries = 1; ; tries++) {
    try {
      await mkdir(directory, { recursive: true })
      await link(temporary, path)
      break
    } catch (error) {
      if (codeOf(error) === 'ENOENT' && tries < MOST_TRIES) continue
      // Some file systems know no hard links; keys are random, so nothing is there to be replaced.
      if (!NO_LINKS.has(codeOf(error))) throw error
      await rename(temporary, path)
      break
    }
  }
  for (let up = directory; up.length >= root.length; up = dirname(up)) await syncDirectory(up)
}

const NO_LINKS: ReadonlySet<string> = new Set(['ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EPERM'])

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

async function* piecesOf(path: string): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const piece of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
    yield piece as Uint8Array
  }
}

async function* walk(
  root: string,
  below: string,
  signal: AbortSignal,
): AsyncGenerator<ListedBlob, void, undefined> {
  throwIfAborted(signal, 'Listing blobs')
  const found = await readdir(join(root, below), { withFileTypes: true }).catch(
    (error: unknown) => {
      if (codeOf(error) === 'ENOENT') return []
      throw error
    },
  )
  for (const entry of found.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const key = below === '' ? entry.name : `${below}/${entry.name}`
    if (!isBlobKey(key) || entry.name === INCOMING) continue
    if (entry.isDirectory()) yield* walk(root, key, signal)
    else if (entry.isFile()) {
      const facts = await stat(join(root, key)).catch(() => undefined)
      if (facts !== undefined) yield { key, bytes: facts.size }
    }
  }
}

/** What processes that died were writing; another process may be doing the same. */
async function removeAbandoned(incoming: string): Promise<void> {
  for (const name of await readdir(incoming)) {
    const path = join(incoming, name)
    const facts = await stat(path).catch(() => undefined)
    if (facts === undefined || Date.now() - facts.mtimeMs < ABANDONED_AFTER_MS) continue
    await rm(path, { force: true })
  }
}

function isFull(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT', 'EFBIG'].includes(codeOf(error))
}

function fullError(root: string, key: string, cause: unknown): MillraceError {
  return new MillraceError(
    'BLOB_STORE_FULL',
    `The blob ${key} could not be stored in ${root}: ${messageOf(cause)}`,
    { cause },
  )
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}
