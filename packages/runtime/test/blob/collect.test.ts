import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { newBlobKey } from '../../src/blob/blob-key.ts'
import { type Collected, collectBlobs } from '../../src/blob/collect.ts'
import { resolveConnectOptions } from '../../src/connection/options.ts'
import { type Core, createCore } from '../../src/core.ts'
import type { BlobStore, EventStream, Millrace } from '../../src/index.ts'
import { useRedis } from '../open-millrace.ts'
import { type Document, documents, filesIn, fileStore, text } from './blob-bed.ts'

const bed = useRedis()
const HOUR_MS = 3_600_000

let store: BlobStore
let path: string
let core: Core
let millrace: Millrace
let stream: EventStream<Document>

beforeEach(async () => {
  ;({ store, path } = await fileStore(bed))
  core = createCore(resolveConnectOptions(bed.server.url, { blobStore: store }))
  bed.onClose(() => {
    core.connections.close()
  })
  millrace = await bed.open({ blobStore: store })
  stream = documents()
})

/** Collects as if so much time had passed that only what is referred to matters. */
function collect(marginMs = -10 * HOUR_MS): Promise<Collected | undefined> {
  return collectBlobs(core, core.keysOf(stream), { periodMs: 0, marginMs })
}

function publish(n: number): Promise<{ readonly id: string }> {
  return millrace.publish(stream, { n, text: text(2_000) })
}

/** The first event has left the stream. */
async function trimBefore(id: string): Promise<void> {
  await bed.redis.xtrim(bed.key(stream), 'MINID', id)
}

/** Gives every blob a time that is long past, as if its event had been published then. */
async function age(id: string): Promise<void> {
  const namespace = (await bed.redis.hget(`${bed.key(stream)}:meta`, 'blobs')) ?? ''
  const [entry] = await bed.redis.xrange(bed.key(stream), id, id)
  const fields = entry?.[1] ?? []
  const old = fields[1] ?? ''
  const key = newBlobKey(namespace, Date.now() - 5 * HOUR_MS)
  const content = await store.get(old, { signal: new AbortController().signal })
  if (content === undefined || content instanceof Uint8Array)
    throw new Error('a stream was expected')
  const pieces: Uint8Array[] = []
  for await (const piece of content) pieces.push(piece)
  const { signal } = new AbortController()
  await store.put(key, Buffer.concat(pieces), { sha256: fields[5] ?? '', signal })
  await store.delete(old, { signal })
  // The same event with the reference to the older blob, at the end of the stream.
  await bed.redis.xadd(bed.key(stream), '*', 'blob', key, ...fields.slice(2))
  await bed.redis.xdel(bed.key(stream), id)
}

describe('blobs', () => {
  afterEach(async () => {
    await bed.redis.flushall()
  })

  test('stay as long as their events are in the stream, and go with them', async () => {
    await publish(1)
    const second = await publish(2)
    // However late it is: the first event is there.
    expect(await collect(0)).toEqual({ removed: 0, bytes: 0, kept: 0 })
    await bed.redis.xtrim(bed.key(stream), 'MAXLEN', 0)
    // Within the margin, and until an event of their deadline could still come, they stay.
    expect(await collect(HOUR_MS)).toEqual({ removed: 0, bytes: 0, kept: 0 })
    expect(await collect(0)).toEqual({ removed: 0, bytes: 0, kept: 0 })
    expect(await filesIn(path)).toHaveLength(2)
    expect(second.id).not.toBe('')
    expect(await collect()).toMatchObject({ removed: 2, kept: 0 })
    expect(await filesIn(path)).toEqual([])
  })

  test('that were stored for events that never came go, too', async () => {
    await publish(1)
    const namespace = (await bed.redis.hget(`${bed.key(stream)}:meta`, 'blobs')) ?? ''
    const { signal } = new AbortController()
    const orphan = newBlobKey(namespace, Date.now() - 5 * HOUR_MS)
    await store.put(orphan, Buffer.from('orphan'), { sha256: '', signal })
    expect(await collect(HOUR_MS)).toEqual({ removed: 1, bytes: 6, kept: 0 })
    expect(await filesIn(path)).toHaveLength(1)
  })

  test('never go before the first event, although the server clock was set back', async () => {
    // The last id is ahead of the clock by a day; so will be those that follow.
    const ahead = Date.now() + 24 * HOUR_MS
    await millrace.publish(stream, { n: 0, text: '' })
    await bed.redis.xadd(bed.key(stream), `${ahead}-0`, 'data', '{"n":0,"text":""}')
    await publish(1)
    await trimBefore(`${ahead}-1`)
    expect(await bed.redis.xlen(bed.key(stream))).toBe(1)
    expect(await collect(0)).toEqual({ removed: 0, bytes: 0, kept: 0 })
    expect(await filesIn(path)).toHaveLength(1)
  })

  test('of dead letters and redriven events stay, also when their consumer was removed', async () => {
    const { id } = await publish(1)
    await age(id)
    const consumer = millrace
      .consumer(stream, { name: 'gone', maxAttempts: 1 })
      .start(() => Promise.reject(new Error('no')))
    const letters = millrace.deadLetters(stream, 'gone')
    await waitFor(async () => (await letters.count()) === 1, { describe: 'the dead letter' })
    await consumer.close()
    await millrace.publish(stream, { n: 2, text: '' })
    await bed.redis.xtrim(bed.key(stream), 'MAXLEN', 1)
    expect(await collect(HOUR_MS)).toEqual({ removed: 0, bytes: 0, kept: 1 })
    await letters.redrive()
    expect(await collect(HOUR_MS)).toEqual({ removed: 0, bytes: 0, kept: 1 })
    expect(await millrace.removeConsumer(stream, 'gone')).toBe(true)
    expect(await collect(HOUR_MS)).toEqual({ removed: 0, bytes: 0, kept: 1 })
    await bed.redis.del(`${bed.key(stream)}:redrive:gone`)
    await bed.redis.del(`${bed.key(stream)}:dead:gone`)
    expect(await collect(HOUR_MS)).toMatchObject({ removed: 1, kept: 0 })
    expect(await bed.redis.hexists(`${bed.key(stream)}:meta`, 'letters:gone')).toBe(0)
  })

  test('of a consumer whose state and group somebody deleted stay for its dead letters', async () => {
    const { id } = await publish(1)
    await age(id)
    const consumer = millrace
      .consumer(stream, { name: 'deleted', maxAttempts: 1 })
      .start(() => Promise.reject(new Error('no')))
    const letters = millrace.deadLetters(stream, 'deleted')
    await waitFor(async () => (await letters.count()) === 1, { describe: 'the dead letter' })
    await consumer.close()
    await bed.redis.xtrim(bed.key(stream), 'MAXLEN', 0)
    await bed.redis.del(`${bed.key(stream)}:state:deleted`)
    await bed.redis.xgroup('DESTROY', bed.key(stream), 'deleted')
    const sweeping = await bed.open({ blobStore: store, sweepEveryMs: 100 })
    const swept = bed.gather((await import('../../src/diagnostics.ts')).channels.swept)
    sweeping.consumer(stream, { name: 'another' }).start(() => undefined)
    await waitFor(
      async () => (await bed.redis.hexists(`${bed.key(stream)}:meta`, 'letters:deleted')) === 1,
      { describe: 'a sweep' },
    )
    expect(swept.length).toBeGreaterThan(0)
    expect(await collect(HOUR_MS)).toEqual({ removed: 0, bytes: 0, kept: 1 })
  })

  test('are left alone where the stream is gone: the server may be the wrong one', async () => {
    const { id } = await publish(1)
    await age(id)
    await bed.redis.del(bed.key(stream))
    expect(await collect()).toBeUndefined()
    expect(await filesIn(path)).toHaveLength(1)
  })

  test('of other streams stay, whatever somebody wrote into the namespace', async () => {
    const other = documents()
    await millrace.publish(other, { n: 1, text: text(2_000) })
    await publish(1)
    await bed.redis.xtrim(bed.key(stream), 'MAXLEN', 0)
    for (const namespace of ['', '.', '..', '../x', other.name, '*']) {
      await bed.redis.hset(`${bed.key(stream)}:meta`, 'blobs', namespace)
      expect(await collect()).toEqual({ removed: 0, bytes: 0, kept: 0 })
      await millrace.admin(stream).delete()
      await bed.redis.hset(`${bed.key(stream)}:meta`, 'incarnation', 'x')
      await bed.append(stream, 1)
      await bed.redis.xtrim(bed.key(stream), 'MAXLEN', 0)
    }
    expect(await filesIn(path)).toHaveLength(2)
  })

  test('that are none of ours stay where they are', async () => {
    await publish(1)
    const namespace = (await bed.redis.hget(`${bed.key(stream)}:meta`, 'blobs')) ?? ''
    const { signal } = new AbortController()
    for (const key of [`${namespace}/by-hand`, `${namespace}0/2000-01-01/00000000000001-ab`])
      await store.put(key, Buffer.from('x'), { sha256: '', signal })
    await bed.redis.xtrim(bed.key(stream), 'MAXLEN', 0)
    expect(await collect()).toMatchObject({ removed: 1 })
    expect((await filesIn(path)).map((file) => file.split('/').at(-1) ?? '').toSorted()).toEqual([
      '00000000000001-ab',
      'by-hand',
    ])
  })

  test('are collected by one process in a period', async () => {
    await publish(1)
    const keys = core.keysOf(stream)
    expect(await collectBlobs(core, keys, { periodMs: 60_000 })).toBeDefined()
    expect(await collectBlobs(core, keys, { periodMs: 60_000 })).toBeUndefined()
  })
})
