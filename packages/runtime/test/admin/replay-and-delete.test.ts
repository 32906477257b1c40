import { describe, expect, test } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { type DeliveryContext, isMillraceError } from '../../src/index.ts'
import { directory, filesIn, fileStore, documents, text } from '../blob/blob-bed.ts'
import { range, useRedis } from '../open-millrace.ts'

const bed = useRedis()
const leaseMs = 1_000

describe('a replay', () => {
  test('gives a range once more to one consumer or group, and to nobody else', async () => {
    const stream = bed.stream()
    const millrace = await bed.open()
    const admin = millrace.admin(stream)
    const ids = await bed.append(stream, 50)
    const seen = new Map<string, { n: number; id: string; redriven: boolean }[]>()
    const note = (name: string) => {
      const into: { n: number; id: string; redriven: boolean }[] = []
      seen.set(name, into)
      return ({ data, id }: { data: { n: number }; id: string }, { redriven }: DeliveryContext) =>
        into.push({ n: data.n, id, redriven })
    }
    for (const name of ['index', 'mail'])
      millrace.consumer(stream, { name, leaseMs }).start(note(name))
    for (const name of ['pool', 'crew']) {
      millrace.consumerGroup(stream, { name, leaseMs }).start(note(name))
    }
    await waitFor(() => [...seen.values()].every(({ length }) => length === 50), {
      describe: 'all events',
    })
    const range10 = { from: { id: ids[9] ?? '' }, to: { id: ids[19] ?? '' } }
    expect(await admin.replay('index', { ...range10, dryRun: true })).toMatchObject({ events: 10 })
    expect(await admin.replay('index', range10)).toEqual({
      dryRun: false,
      events: 10,
      complete: true,
      lastId: ids[19],
    })
    await admin.replay('pool', { from: 'earliest', to: { timeMs: Number(ids[0]?.split('-')[0]) } })
    await admin.replay('pool', range10)
    expect(await admin.replay('pool', { from: 'latest' })).toMatchObject({ events: 0 })
    const replayed = (name: string): unknown[] =>
      (seen.get(name) ?? []).filter(({ redriven }) => redriven)
    await waitFor(() => replayed('index').length === 10 && replayed('pool').length === 10, {
      describe: 'the replayed events',
    })
    const expected = range(10, 10).map((n) => ({ n, id: ids[n], redriven: true }))
    expect(replayed('index')).toEqual(expected)
    expect(replayed('pool')).toEqual(expect.arrayContaining(expected))
    for (const name of ['mail', 'crew']) expect(replayed(name)).toEqual([])
    await waitFor(
      async () => {
        const { consumers, groups } = await admin.inspect()
        return [...consumers, ...groups].every(({ redriving }) => redriving === 0)
      },
      { describe: 'the redrive lists to be empty' },
    )
  })

  test('stops where too much waits, and goes on after the last event', async () => {
    const stream = bed.stream()
    const millrace = await bed.open()
    const admin = millrace.admin(stream)
    const ids = await bed.append(stream, 100)
    await millrace
      .consumer(stream, { name: 'idle', from: 'latest' })
      .start(() => undefined)
      .close()
    const missing = await admin
      .replay('idle', { from: 'earliest' })
      .catch((error: unknown) => error)
    if (isMillraceError(missing)) {
      // It was closed before it had a position: there is no such name.
      expect(missing.code).toBe('STATE_INVALID')
      const idle = millrace
        .consumer(stream, { name: 'idle', from: 'latest' })
        .start(() => undefined)
      await idle.ready
      await idle.close()
    }
    await bed.redis.del(`${bed.key(stream)}:redrive:idle`)
    for (const dryRun of [true, false]) {
      await expect(admin.replay('nobody', { from: 'earliest', dryRun })).rejects.toMatchObject({
        code: 'STATE_INVALID',
      })
    }
    const first = await admin.replay('idle', { from: 'earliest', maxWaiting: 40 })
    expect(first).toEqual({ dryRun: false, events: 40, complete: false, lastId: ids[39] })
    const second = await admin.replay('idle', { from: { id: first.lastId }, maxWaiting: 100 })
    expect(second).toEqual({ dryRun: false, events: 60, complete: true, lastId: ids[99] })
    const copies = await bed.redis.xrange(`${bed.key(stream)}:redrive:idle`, '-', '+')
    expect(copies.map(([, fields]) => fields.at(-1))).toEqual(ids)
  })

  test('copies nothing twice when answers are lost', async () => {
    const stream = bed.stream()
    const millrace = await bed.open()
    const ids = await bed.append(stream, 1_200)
    const idle = millrace.consumer(stream, { name: 'idle', from: 'latest' }).start(() => undefined)
    await idle.ready
    await idle.close()
    const proxy = await bed.proxy()
    const cut = await bed.open({}, proxy.url)
    const admin = cut.admin(stream)
    await admin.pauses()
    // The first part is carried out, and its answer does not come. The server knows the script by then.
    await admin.replay('idle', { from: { id: ids[1_199] ?? '' } })
    const dropped = proxy.dropNextReply(([name = '']) => name.toLowerCase() === 'evalsha')
    const replaying = admin.replay('idle', { from: 'earliest' })
    await dropped
    expect(await replaying).toMatchObject({ events: 1_200, complete: true })
    const copies = await bed.redis.xrange(`${bed.key(stream)}:redrive:idle`, '-', '+')
    expect(copies.map(([, fields]) => fields.at(-1))).toEqual(ids)
  })
})

describe('deleting a stream', () => {
  test('takes everything with it, and leaves its neighbours alone', async () => {
    const { store, path } = await fileStore(bed)
    const stream = documents()
    const neighbour = bed.stream()
    const millrace = await bed.open({ blobStore: store })
    const admin = millrace.admin(stream)
    await millrace.publish(stream, { n: 1, text: text(2_000) }, { idempotencyKey: 'one' })
    await bed.append(neighbour, 1)
    const consumer = millrace.consumer(stream, { name: 'fails', maxAttempts: 1, leaseMs })
    consumer.start(() => Promise.reject(new Error('no')))
    const letters = millrace.deadLetters(stream, 'fails')
    await waitFor(async () => (await letters.count()) === 1, { describe: 'the dead letter' })
    await bed.redis.set(`${bed.key(stream)}:x:poll:cursor`, '1')
    await bed.redis.set(`${bed.key(stream)}s:x:poll:cursor`, 'another stream')

    const refused = await admin.delete().catch((error: unknown) => error)
    expect(isMillraceError(refused, 'NAME_IN_USE')).toBe(true)
    expect(String(refused)).toContain('fails')
    await consumer.close()
    const dry = await admin.delete({ dryRun: true })
    expect(dry).toMatchObject({ events: 1, blobs: 0, dryRun: true })
    expect(await filesIn(path)).toHaveLength(1)
    const report = await admin.delete()
    expect(report).toEqual({ ...dry, dryRun: false, blobs: 1 })
    expect(report.keys).toEqual(
      expect.arrayContaining([
        bed.key(stream),
        `${bed.key(stream)}:dead:fails`,
        `${bed.key(stream)}:meta`,
        `${bed.key(stream)}:producers`,
        `${bed.key(stream)}:state:fails`,
        `${bed.key(stream)}:x:poll:cursor`,
      ]),
    )
    expect((await bed.redis.keys(`${bed.key(stream)}*`)).toSorted()).toEqual([
      `${bed.key(stream)}s:x:poll:cursor`,
    ])
    expect(await bed.redis.exists(bed.key(neighbour))).toBe(1)
    expect(await filesIn(path)).toEqual([])
    // The same producer goes on with a new stream.
    await millrace.publish(stream, { n: 2, text: text(2_000) })
    expect(await bed.redis.xlen(bed.key(stream))).toBe(1)
    expect(await filesIn(path)).toHaveLength(1)
  })

  test('does so under consumers at work when told to; they begin anew', async () => {
    const stream = bed.stream()
    const millrace = await bed.open()
    const handled: string[] = []
    const consumer = millrace.consumer(stream, { name: 'index', leaseMs })
    consumer.start(({ data }) => handled.push(`consumer ${data.n}`))
    const member = millrace.consumerGroup(stream, { name: 'pool', leaseMs })
    member.start(({ data }) => handled.push(`group ${data.n}`))
    await millrace.publish(stream, { n: 1 })
    await waitFor(() => handled.length === 2, { describe: 'the first event' })
    await millrace.admin(stream).delete({ evenIfInUse: true })
    await millrace.publish(stream, { n: 2 })
    // What the tail had read before it noticed may come twice.
    await waitFor(() => ['consumer 2', 'group 2'].every((one) => handled.includes(one)), {
      describe: 'the new stream',
    })
  })

  test('takes the blobs along although the answer of Redis was lost', async () => {
    const stream = documents()
    const { store, path } = await fileStore(bed)
    const proxy = await bed.proxy()
    const millrace = await bed.open({ blobStore: store }, proxy.url)
    await millrace.publish(stream, { n: 1, text: text(2_000) })
    // The server knows the script by then.
    await millrace.admin(stream).delete({ dryRun: true })
    expect(await filesIn(path)).toHaveLength(1)
    // The first is the look before, the second the deletion itself.
    let scripts = 0
    const lost = proxy.dropNextReply(
      (words) => words.includes(`${bed.key(stream)}:producers`) && ++scripts === 2,
    )
    const report = await millrace.admin(stream).delete()
    await lost
    expect(report).toMatchObject({ dryRun: false, events: 1, blobs: 1 })
    expect(report.keys).toContain(bed.key(stream))
    expect(await bed.redis.exists(bed.key(stream), `${bed.key(stream)}:meta`)).toBe(0)
    expect(await filesIn(path)).toEqual([])
  })

  test('that is not there deletes nothing', async () => {
    const millrace = await bed.open()
    const path = await directory(bed)
    expect(await millrace.admin(bed.stream()).delete()).toEqual({
      dryRun: false,
      events: 0,
      keys: [],
      blobs: 0,
    })
    expect(await filesIn(path)).toEqual([])
  })
})

test('a stream is created once, and a foreign one becomes one of ours', async () => {
  const stream = bed.stream()
  const millrace = await bed.open()
  const admin = millrace.admin(stream)
  expect((await admin.inspect()).exists).toBe(false)
  const { created, incarnation } = await admin.create()
  expect(created).toBe(true)
  expect(await admin.create()).toEqual({ created: false, incarnation })
  expect(await admin.inspect()).toMatchObject({ exists: true, incarnation, length: 0, groups: [] })
  const foreign = bed.stream()
  await bed.redis.xadd(bed.key(foreign), '*', 'data', '{"n":1}')
  const taken = await millrace.admin(foreign).create()
  expect(taken.created).toBe(false)
  expect(taken.incarnation).not.toBe('')
  await bed.redis.set(bed.key({ name: 'not-a-stream' }), 'text')
  const { defineStream } = await import('../../src/index.ts')
  const refused = millrace.admin(defineStream('not-a-stream')).create()
  await expect(refused).rejects.toMatchObject({ code: 'KEY_TYPE' })
})
