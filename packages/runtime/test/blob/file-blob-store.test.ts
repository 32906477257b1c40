import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, describe, expect, test } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { type BlobStore, fileBlobStore, isMillraceError } from '../../src/index.ts'
import { useRedis } from '../open-millrace.ts'
import { directory, documents, filesIn, MIB, text } from './blob-bed.ts'

const run = promisify(execFile)
const bed = useRedis()
const options = { signal: new AbortController().signal, sha256: '' }

async function contentOf(store: BlobStore, key: string): Promise<string | undefined> {
  const content = await store.get(key, options)
  if (content === undefined) return undefined
  const pieces: Uint8Array[] = []
  if (content instanceof Uint8Array) pieces.push(content)
  else for await (const piece of content) pieces.push(piece)
  return Buffer.concat(pieces).toString()
}

async function keysIn(store: BlobStore, prefix: string): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of store.list(prefix, options)) keys.push(key)
  return keys
}

describe('a blob store in a directory', () => {
  test('stores, gives back, lists in order of keys, and deletes with what is empty', async () => {
    const path = await directory(bed)
    const store = fileBlobStore({ directory: join(path, 'made', 'for', 'it') })
    const keys = ['s.1/2026-01-02/b', 's.1/2026-01-02/a', 's.1/2025-12-31/c', 's.10/2026-01-01/d']
    for (const key of keys) await store.put(key, Buffer.from(key), options)
    expect(await keysIn(store, 's.1/')).toEqual(keys.slice(0, 3).toSorted())
    expect(await contentOf(store, 's.1/2026-01-02/b')).toBe('s.1/2026-01-02/b')
    expect(await contentOf(store, 's.1/2026-01-02/c')).toBeUndefined()
    expect(await contentOf(store, 's.1/2026-01-02')).toBeUndefined()
    expect(await contentOf(store, 's.1/2026-01-02/b/c')).toBeUndefined()
    for (const key of keys) await store.delete(key, options)
    await store.delete('s.1/2026-01-02/b', options)
    expect(await filesIn(path)).toEqual([])
    expect(await keysIn(store, 's.1/')).toEqual([])
  })

  test('never replaces a blob, and refuses keys that lead elsewhere', async () => {
    const path = await directory(bed)
    const store = fileBlobStore({ directory: path })
    await store.put('a/b', Buffer.from('first'), options)
    await expect(store.put('a/b', Buffer.from('second'), options)).rejects.toThrow('EEXIST')
    expect(await contentOf(store, 'a/b')).toBe('first')
    for (const key of ['../a', 'a/../../b', '/etc/passwd', 'a//b', '', '.', 'a\0b']) {
      await expect(store.get(key, options)).rejects.toThrow('not a key')
      await expect(store.put(key, Buffer.from(''), options)).rejects.toThrow('not a key')
      await expect(store.delete(key, options)).rejects.toThrow('not a key')
    }
    expect(await filesIn(path)).toHaveLength(1)
  })

  test('makes a day anew that is removed as empty at the same moment', async () => {
    const path = await directory(bed)
    const store = fileBlobStore({ directory: path })
    const busy = Array.from({ length: 200 }, async (_, i) => {
      await store.put(`s/day/${i}`, Buffer.from(String(i)), options)
      await store.delete(`s/day/${i}`, options)
    })
    await Promise.all(busy)
    expect(await filesIn(path)).toEqual([])
  })

  test('leaves nothing when storing is given up half-way', async () => {
    const path = await directory(bed)
    const store = fileBlobStore({ directory: path })
    const giveUp = new AbortController()
    const putting = store.put('a/b', Buffer.alloc(64 * MIB), { ...options, signal: giveUp.signal })
    giveUp.abort()
    await expect(putting).rejects.toMatchObject({ code: 'ABORTED' })
    expect(await filesIn(path)).toEqual([])
  })

  test('shows nothing of what a process wrote that died, and removes it after a day', async () => {
    const path = await directory(bed)
    await mkdir(join(path, '.incoming'))
    const old = join(path, '.incoming', '1-old')
    await writeFile(old, 'half')
    await writeFile(join(path, '.incoming', '1-new'), 'half')
    const longAgo = (Date.now() - 25 * 3_600_000) / 1_000
    await utimes(old, longAgo, longAgo)
    const store = fileBlobStore({ directory: path })
    await store.put('a/b', Buffer.from('x'), options)
    expect(await keysIn(store, '')).toEqual(['a/b'])
    expect((await filesIn(path)).map((file) => file.slice(path.length + 1)).toSorted()).toEqual([
      '.incoming/1-new',
      'a/b',
    ])
  })

  test('stores although it cannot remove what others have left behind', async () => {
    const path = await directory(bed)
    await mkdir(join(path, '.incoming'))
    // A directory in the place of a file is what no process leaves, and what cannot be removed as one.
    const strange = join(path, '.incoming', '1-strange')
    await mkdir(strange)
    const longAgo = (Date.now() - 25 * 3_600_000) / 1_000
    await utimes(strange, longAgo, longAgo)
    const store = fileBlobStore({ directory: path })
    for (const key of ['a/b', 'a/c']) await store.put(key, Buffer.from(key), options)
    expect(await keysIn(store, 'a/')).toEqual(['a/b', 'a/c'])
  })

  test('lists no links, so that nothing outside is ever collected', async () => {
    const path = await directory(bed)
    const store = fileBlobStore({ directory: path })
    await store.put('s/a', Buffer.from('x'), options)
    await symlink('/etc', join(path, 's', 'outside'))
    expect(await keysIn(store, 's/')).toEqual(['s/a'])
  })

  test('says what is wrong with its options', () => {
    // @ts-expect-error a directory has to be given
    expect(() => fileBlobStore({})).toThrow('directory must be the path of a directory')
    expect(() => fileBlobStore({ directory: '' })).toThrow('must be the path')
  })
})

describe('a full disk', () => {
  const mounted: string[] = []
  afterEach(async () => {
    for (const path of mounted.splice(0)) {
      await run('umount', [path])
      await rm(path, { recursive: true })
    }
  })

  /** A file system of its own; undefined where this process may not mount one. */
  async function smallDisk(megabytes: number): Promise<string | undefined> {
    const path = await mkdtemp(join(tmpdir(), 'disk-'))
    try {
      await run('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', path])
      mounted.push(path)
      return path
    } catch {
      await rm(path, { recursive: true })
      return undefined
    }
  }

  test('is BLOB_STORE_FULL, with nothing half written and nothing published; later events go on', async ({
    skip,
  }) => {
    const path = await smallDisk(4)
    if (path === undefined) skip('this process may not mount a file system')
    const stream = documents()
    const millrace = await bed.open({ blobStore: fileBlobStore({ directory: path ?? '' }) })
    await millrace.publish(stream, { n: 1, text: text(MIB) })
    const before = await filesIn(path ?? '')
    const refused = await millrace
      .publish(stream, { n: 2, text: text(4 * MIB) })
      .catch((error: unknown) => error)
    expect(isMillraceError(refused, 'BLOB_STORE_FULL')).toBe(true)
    expect(refused).toMatchObject({ retryable: true, cause: { code: 'ENOSPC' } })
    expect(await filesIn(path ?? '')).toEqual(before)
    await millrace.publish(stream, { n: 3, text: text(MIB) })
    const handled: number[] = []
    millrace.consumer(stream, { name: 'reads' }).start(({ data }) => handled.push(data.n))
    await waitFor(() => handled.length === 2, { describe: 'both' })
    expect(handled).toEqual([1, 3])
  })
})
