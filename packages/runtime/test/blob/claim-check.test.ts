import { rm, truncate, writeFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { channels } from '../../src/diagnostics.ts'
import { defineStream, type ErrorCode, isMillraceError, type Millrace } from '../../src/index.ts'
import { range, useRedis } from '../open-millrace.ts'
import {
  directory,
  type Document,
  documents,
  filesIn,
  fileStore,
  MIB,
  sha256,
  text,
  TroubledStore,
} from './blob-bed.ts'

const bed = useRedis()
const backoff = { firstMs: 1, greatestMs: 1 }

/** The code of the error with which a call fails. */
async function codeOf(work: Promise<unknown>): Promise<ErrorCode | undefined> {
  const error = await work.then(
    () => undefined,
    (failure: unknown) => failure,
  )
  return isMillraceError(error) ? error.code : undefined
}

describe('a large payload', () => {
  test('of 32 MiB lies in the store, and consumer, group and reader get it whole', async () => {
    const { store, path } = await fileStore(bed)
    const stream = defineStream<Document>('large', { claimCheck: {} })
    const millrace = await bed.open({ blobStore: store })
    const payload = { n: 1, text: text(32 * MIB) }
    const { id } = await millrace.publish(stream, payload, { headers: { source: 'test' } })

    const [entry] = await bed.redis.xrange(bed.key(stream), '-', '+')
    const fields = Object.fromEntries(
      entry?.[1].flatMap((name, i, all) => (i % 2 === 0 ? [[name, all[i + 1]]] : [])) ?? [],
    )
    expect(Object.keys(fields)).toEqual(['blob', 'blob:bytes', 'blob:sha256', 'h:source'])
    expect(fields['blob:bytes']).toBe(String(JSON.stringify(payload).length))
    expect(fields['blob:sha256']).toBe(sha256(JSON.stringify(payload)))
    expect(await filesIn(path)).toEqual([`${path}/${fields['blob'] ?? ''}`])

    const got: { readonly by: string; readonly id: string; readonly length: number }[] = []
    const note = (by: string) => (event: { id: string; data: Document }) => {
      got.push({ by, id: event.id, length: event.data.text.length })
    }
    millrace.consumer(stream, { name: 'consumer' }).start(note('consumer'))
    millrace.consumerGroup(stream, { name: 'group' }).start(note('group'))
    for await (const event of millrace.reader(stream, { from: 'earliest', live: false })) {
      note('reader')(event)
      expect(event.headers).toEqual({ source: 'test' })
    }
    await waitFor(() => got.length === 3, { describe: 'everybody to have it' })
    expect(got.toSorted((a, b) => (a.by < b.by ? -1 : 1))).toEqual(
      ['consumer', 'group', 'reader'].map((by) => ({ by, id, length: 32 * MIB })),
    )
  })

  test('of 1 MiB and a byte is refused without a claim check, and nothing is stored anywhere', async () => {
    const { store, path } = await fileStore(bed)
    const stream = defineStream<string>('plain')
    const millrace = await bed.open({ blobStore: store })
    // Two quotes and the name of the field belong to the event.
    const fits = text(MIB - 2 - 'data'.length)
    expect((await millrace.publish(stream, fits)).stored).toBe('stream')
    expect(await codeOf(millrace.publish(stream, `${fits}x`))).toBe('PAYLOAD_TOO_LARGE')
    expect(await bed.redis.xlen(bed.key(stream))).toBe(1)
    expect(await filesIn(path)).toEqual([])
  })

  test('goes by claim check when only its event is too large for the stream', async () => {
    const { store, path } = await fileStore(bed)
    const stream = defineStream<string>('event-too-large', { claimCheck: {} })
    const millrace = await bed.open({ blobStore: store })
    await millrace.publish(stream, text(MIB - 2 - 'data'.length))
    expect(await filesIn(path)).toHaveLength(0)
    await millrace.publish(stream, text(MIB - 1 - 'data'.length))
    expect(await filesIn(path)).toHaveLength(1)
  })

  test('above the greatest size is refused, and so is one that somebody else refers to', async () => {
    const { store, path } = await fileStore(bed)
    const stream = documents({ maxBytes: 2_000 })
    const millrace = await bed.open({ blobStore: store })
    const refused = millrace.publish(stream, { n: 1, text: text(2_000) })
    expect(await codeOf(refused)).toBe('PAYLOAD_TOO_LARGE')
    expect(await filesIn(path)).toEqual([])
    await refer(stream, { key: 'a/b', bytes: '2001' })
    await refer(stream, { key: '../../etc/passwd', bytes: '10' })
    await refer(stream, { key: 'a/b', bytes: '-1' })
    await refer(stream, { key: 'a/b', bytes: '10', sha256: 'no digest' })
    expect(await deadLetterErrors(millrace, stream, 4)).toEqual([
      expect.stringContaining('at most 2000 are allowed'),
      expect.stringContaining('blob is not a key'),
      expect.stringContaining('blob:bytes is not'),
      expect.stringContaining('blob:sha256 is not'),
    ])
  })

  test('without a store is refused at publish', async () => {
    const stream = documents()
    const millrace = await bed.open()
    expect(await codeOf(millrace.publish(stream, { n: 1, text: text(2_000) }))).toBe(
      'BLOB_STORE_ABSENT',
    )
    expect((await millrace.publish(stream, { n: 1, text: '' })).stored).toBe('stream')
  })

  test('of a valid array is stored only when the whole array is valid', async () => {
    const { store, path } = await fileStore(bed)
    const stream = documents()
    const millrace = await bed.open({ blobStore: store })
    const circular: { n: number; text: string; self?: unknown } = { n: 2, text: '' }
    circular.self = circular
    const refused = millrace.publish(stream, [{ n: 1, text: text(2_000) }, circular])
    expect(await codeOf(refused)).toBe('PAYLOAD_INVALID')
    expect(await filesIn(path)).toEqual([])
  })
})

describe('the order of publishing', () => {
  test('holds while payloads are stored that take their time', async () => {
    const { store } = await fileStore(bed)
    const slow = new TroubledStore(store)
    const gates = range(3).map(() => Promise.withResolvers<void>())
    let puts = 0
    slow.before = async (method) => {
      if (method === 'put') await gates[puts++]?.promise
    }
    const stream = documents()
    const millrace = await bed.open({ blobStore: slow })
    const published = [
      millrace.publish(stream, { n: 0, text: text(2_000) }),
      millrace.publish(stream, { n: 1, text: '' }),
      millrace.publish(stream, [
        { n: 2, text: '' },
        { n: 3, text: text(2_000) },
      ]),
      millrace.publish(stream, { n: 4, text: text(2_000) }),
      millrace.publish(stream, { n: 5, text: '' }),
    ]
    await waitFor(() => puts === 3, { describe: 'three payloads to be on their way' })
    // The last one is stored first.
    for (const gate of gates.toReversed()) gate.resolve()
    await Promise.all(published)
    const read: number[] = []
    for await (const { data } of millrace.reader(stream, { from: 'earliest', live: false })) {
      read.push(data.n)
    }
    expect(read).toEqual(range(6))
  })

  test('goes on behind a payload that could not be stored or was given up', async () => {
    const { store } = await fileStore(bed)
    const troubled = new TroubledStore(store)
    const never = Promise.withResolvers<void>()
    let puts = 0
    troubled.before = async (method) => {
      if (method !== 'put') return
      puts++
      if (puts === 1) throw new Error('503 slow down')
      await never.promise
    }
    const stream = documents()
    const millrace = await bed.open({ blobStore: troubled })
    const failed = millrace.publish(stream, { n: 0, text: text(2_000) })
    expect(await codeOf(failed)).toBe('BLOB_STORE_FAILED')
    const giveUp = new AbortController()
    const aborted = millrace.publish(stream, { n: 1, text: text(2_000) }, { signal: giveUp.signal })
    const late = millrace.publish(stream, { n: 2, text: text(2_000) }, { deadlineMs: 1_000 })
    const behind = millrace.publish(stream, { n: 3, text: '' })
    await waitFor(() => puts === 3, { describe: 'both to be on their way' })
    giveUp.abort()
    expect(await codeOf(aborted)).toBe('ABORTED')
    expect(await codeOf(late)).toBe('UNAVAILABLE')
    expect((await behind).stored).toBe('stream')
    never.resolve()
    expect(await bed.redis.xlen(bed.key(stream))).toBe(1)
  })
})

test('a producer with a spool stores payloads while Redis is away, once it has been there', async () => {
  const { store, path } = await fileStore(bed)
  const spool = await directory(bed)
  const stream = documents()
  const proxy = await bed.proxy()
  const millrace = await bed.open({ blobStore: store }, proxy.url)
  const producer = millrace.producer(stream, {
    producerId: 'till',
    whenUnavailable: 'spool',
    spool: { directory: spool },
  })
  expect((await producer.publish({ n: 0, text: text(2_000) })).stored).toBe('stream')
  await proxy.refuse()
  proxy.resetAll()
  const spooled = await producer.publish({ n: 1, text: text(2_000) }, { deadlineMs: 60_000 })
  expect(spooled.stored).toBe('spool')
  expect(await filesIn(path)).toHaveLength(2)
  await proxy.heal()
  const handled: number[] = []
  const reading = await bed.open({ blobStore: store })
  reading.consumer(stream, { name: 'reads' }).start(({ data }) => handled.push(data.n))
  await waitFor(() => handled.length === 2, { describe: 'both' })
  expect(handled).toEqual([0, 1])
})

describe('a payload that is no good', () => {
  const faults: readonly [ErrorCode, (file: string) => Promise<void>][] = [
    ['BLOB_MISSING', (file) => rm(file)],
    ['BLOB_CORRUPT', (file) => truncate(file, 10)],
    ['BLOB_CORRUPT', (file) => writeFile(file, text(5_000, 'y'))],
    // As long as before, and not the same.
    ['BLOB_CORRUPT', (file) => writeFile(file, `{"n":2,"text":"${text(2_000, 'y')}"}`)],
  ]

  test.for(faults)('is %s, and consumer and group go on by their policy', async ([code, spoil]) => {
    const { store, path } = await fileStore(bed)
    const stream = documents()
    const millrace = await bed.open({ blobStore: store })
    await millrace.publish(stream, { n: 1, text: '' })
    const { id } = await millrace.publish(stream, { n: 2, text: text(2_000) })
    const [file = ''] = await filesIn(path)
    await spoil(file)
    await millrace.publish(stream, { n: 3, text: text(2_000) })

    const handled = new Map<string, number[]>()
    const note = (name: string) => {
      const into: number[] = []
      handled.set(name, into)
      return ({ data }: { data: Document }) => into.push(data.n)
    }
    millrace.consumer(stream, { name: 'letters' }).start(note('letters'))
    millrace.consumer(stream, { name: 'skips', onInvalid: 'skip' }).start(note('skips'))
    millrace.consumerGroup(stream, { name: 'group' }).start(note('group'))
    const stops = millrace.consumer(stream, { name: 'stops', onInvalid: 'stop' })
    stops.start(note('stops'))
    const memberStops = millrace.consumerGroup(stream, { name: 'member-stops', onInvalid: 'stop' })
    memberStops.start(note('member-stops'))

    await waitFor(
      () => ['letters', 'skips', 'group'].every((name) => handled.get(name)?.includes(3) === true),
      { describe: 'all to go on' },
    )
    expect(handled.get('letters')).toEqual([1, 3])
    expect(handled.get('skips')).toEqual([1, 3])
    for (const stopped of [stops, memberStops]) {
      const error: unknown = await stopped.done.catch((failure: unknown) => failure)
      expect(error).toMatchObject({ name: 'MillraceError', cause: { code } })
    }
    expect(handled.get('stops')).toEqual([1])

    for (const name of ['letters', 'group']) {
      const letters = millrace.deadLetters(stream, name)
      await waitFor(async () => (await letters.count()) === 1, { describe: 'the dead letter' })
      for await (const letter of letters.list()) {
        expect(letter).toMatchObject({ eventId: id, reason: 'invalid', stored: Buffer.alloc(0) })
        expect(letter.blob?.bytes).toBe(2_000 + '{"n":2,"text":""}'.length)
        expect(letter.payload).toMatchObject({ ok: false, error: { code } })
      }
      // Its entry is kept byte for byte, so that it can be redriven once the blob is back.
      const [entry] = await bed.redis.xrange(bed.key(stream), id, id)
      const [dead] = await bed.redis.xrange(`${bed.key(stream)}:dead:${name}`, '-', '+')
      expect(dead?.[1].slice(0, entry?.[1].length)).toEqual(entry?.[1])
    }

    await writeFile(file, JSON.stringify({ n: 2, text: text(2_000) }))
    await millrace.deadLetters(stream, 'letters').redrive()
    await millrace.deadLetters(stream, 'group').redrive()
    await waitFor(
      () => ['letters', 'group'].every((name) => handled.get(name)?.includes(2) === true),
      { describe: 'the redriven ones' },
    )
  })

  test('is BLOB_STORE_ABSENT for a consumer without a store', async () => {
    const { store } = await fileStore(bed)
    const stream = documents()
    const producing = await bed.open({ blobStore: store })
    await producing.publish(stream, { n: 1, text: text(2_000) })
    await producing.publish(stream, { n: 2, text: '' })
    const millrace = await bed.open()
    const handled: number[] = []
    millrace.consumer(stream, { name: 'poor' }).start(({ data }) => handled.push(data.n))
    await waitFor(() => handled.length === 1, { describe: 'the next event' })
    const [error] = await deadLetterErrors(millrace, stream, 1, 'poor')
    expect(error).toContain('this connection has no blob store')
    const read = async (): Promise<void> => {
      for await (const event of millrace.reader(stream, { from: 'earliest', live: false })) {
        expect(event.data.n).toBe(2)
      }
    }
    expect(await codeOf(read())).toBe('BLOB_STORE_ABSENT')
  })
})

describe('a store that is out of reach', () => {
  test('is asked again like a handler that failed, and the payload is not blamed', async () => {
    const { store } = await fileStore(bed)
    const troubled = new TroubledStore(store)
    const stream = documents({ key: true })
    const millrace = await bed.open({ blobStore: troubled })
    await millrace.publish(stream, { n: 1, text: text(2_000) })
    let failures = 0
    troubled.before = (method) => {
      if (method === 'get' && ++failures <= 9) throw new Error('connection refused')
    }
    const stopHearing = channels.deadLettered.subscribe(() => {
      throw new Error('nothing is to be given up')
    })
    bed.onClose(stopHearing)
    const handled: string[] = []
    const options = { backoff, maxAttempts: 100 }
    millrace
      .consumer(stream, { name: 'consumer', order: 'key', ...options })
      .start((_, { attempt }) => handled.push(`consumer ${attempt > 1}`))
    millrace.consumerGroup(stream, { name: 'group', ...options }).start(() => handled.push('group'))
    const reading = (async () => {
      for await (const { data } of millrace.reader(stream, { from: 'earliest', live: false }))
        handled.push(`reader ${data.n}`)
    })()
    await reading
    await waitFor(() => handled.length === 3, { describe: 'everybody to have it' })
    expect(failures).toBeGreaterThanOrEqual(10)
    expect(handled).toContain('reader 1')
  })

  test('for good makes a dead letter that was exhausted, with the reference', async () => {
    const { store } = await fileStore(bed)
    const troubled = new TroubledStore(store)
    const stream = documents()
    const millrace = await bed.open({ blobStore: troubled })
    await millrace.publish(stream, { n: 1, text: text(2_000) })
    troubled.before = () => {
      throw new Error('connection refused')
    }
    const options = { maxAttempts: 2, backoff }
    millrace.consumer(stream, { name: 'consumer', ...options }).start(() => undefined)
    millrace.consumerGroup(stream, { name: 'group', ...options }).start(() => undefined)
    for (const name of ['consumer', 'group']) {
      const letters = millrace.deadLetters(stream, name)
      await waitFor(async () => (await letters.count()) === 1, { describe: 'the dead letter' })
      for await (const letter of letters.list()) {
        expect(letter).toMatchObject({ reason: 'exhausted', attempts: 2 })
        expect(letter.error).toContain('connection refused')
        expect(letter.blob?.key).toContain(stream.name)
      }
    }
  })

  test('has no handler started whose lease was lost during the fetch', async () => {
    const { store } = await fileStore(bed)
    const slow = new TroubledStore(store)
    const stream = documents()
    const producing = await bed.open({ blobStore: store })
    await producing.publish(stream, { n: 1, text: text(2_000) })
    const proxy = await bed.proxy()
    const cut = await bed.open({ blobStore: slow, sameHostTakeover: false }, proxy.url)
    const gate = Promise.withResolvers<void>()
    slow.before = () => gate.promise
    const handled: string[] = []
    const options = { leaseMs: 500 }
    for (const [who, millrace] of [
      ['first', cut],
      ['second', producing],
    ] as const) {
      const consumer = millrace.consumer(stream, { name: 'consumer', ...options })
      consumer.start(() => handled.push(`consumer ${who}`))
      const member = millrace.consumerGroup(stream, { name: 'group', ...options })
      member.start(() => handled.push(`group ${who}`))
      await Promise.all([consumer.ready, member.ready])
      if (who === 'first') await waitFor(() => slow.gets > 0, { describe: 'the fetch' })
    }
    proxy.blackhole('both')
    await waitFor(() => handled.length === 2, { describe: 'the others' })
    gate.resolve()
    await cut.close({ deadlineMs: 100 })
    expect(handled.toSorted()).toEqual(['consumer second', 'group second'])
  })

  test('keeps no consumer from closing', async () => {
    const { store } = await fileStore(bed)
    const stuck = new TroubledStore(store)
    const stream = documents()
    const millrace = await bed.open({ blobStore: stuck })
    await millrace.publish(stream, { n: 1, text: text(2_000) })
    const never = Promise.withResolvers<void>()
    stuck.before = () => never.promise
    const consumer = millrace.consumer(stream, { name: 'consumer' }).start(() => undefined)
    const member = millrace.consumerGroup(stream, { name: 'group' }).start(() => undefined)
    await waitFor(() => stuck.gets >= 1, { describe: 'the fetch' })
    await Promise.all([consumer.close({ deadlineMs: 50 }), member.close({ deadlineMs: 50 })])
    expect((await bed.state(stream, 'consumer'))['released']).toBe('1')
    never.resolve()
  })
})

/** What the letters of a consumer say, which is started if it has no name yet. */
async function deadLetterErrors(
  millrace: Millrace,
  stream: ReturnType<typeof documents>,
  count: number,
  name = 'letters',
): Promise<string[]> {
  if (name === 'letters') millrace.consumer(stream, { name }).start(() => undefined)
  const letters = millrace.deadLetters(stream, name)
  await waitFor(async () => (await letters.count()) === count, { describe: 'the dead letters' })
  const errors: string[] = []
  for await (const { error } of letters.list()) errors.push(error)
  return errors
}

/** An event with a reference that somebody wrote by hand. */
async function refer(
  stream: { readonly name: string },
  { key, bytes, sha256: digest = sha256('') }: { key: string; bytes: string; sha256?: string },
): Promise<void> {
  await bed.redis.xadd(
    bed.key(stream),
    '*',
    ...['blob', key, 'blob:bytes', bytes, 'blob:sha256', digest],
  )
}
