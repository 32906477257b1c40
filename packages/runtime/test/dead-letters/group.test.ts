import { waitFor } from '@millrace/testkit'
import { describe, expect, it } from 'vitest'
import {
  channels,
  defineStream,
  type EventStream,
  type GroupOptions,
  type Millrace,
  UnrecoverableError,
} from '../../src/index.ts'
import { range, type Reading, useRedis } from '../open-millrace.ts'
import { all, quick, redriveAll, untilCount } from './letters.ts'

const bed = useRedis()

interface Seen {
  readonly n: number
  readonly id: string
  readonly attempt: number
  readonly redriven: boolean
  readonly member: string
}

/** Members of one group, whose handlers throw at some numbers until they are taken out of the set. */
interface Pool {
  readonly seen: Seen[]
  readonly broken: Set<number>
  readonly add: (
    millrace: Millrace,
    member: string,
    options?: Partial<GroupOptions>,
  ) => Promise<Member>
}

interface Member {
  close(options?: { readonly deadlineMs?: number }): Promise<unknown>
  readonly done: Promise<void>
}

function pool(stream: EventStream<never, Reading>, broken: readonly number[], name = 'pool'): Pool {
  const seen: Seen[] = []
  const set = new Set(broken)
  return {
    seen,
    broken: set,
    async add(millrace, member, options = {}) {
      const group = millrace
        .consumerGroup(stream, {
          name,
          member,
          leaseMs: 600,
          maxAttempts: 2,
          backoff: quick,
          ...options,
        })
        .start(async ({ id, data: { n } }, { attempt, redriven }) => {
          await new Promise(setImmediate)
          seen.push({ n, id, attempt, redriven, member })
          if (set.has(n)) throw new Error(`broken at ${n}`)
        })
      await group.ready
      return group
    },
  }
}

async function untilSettled(
  millrace: Millrace,
  stream: EventStream<never, Reading>,
): Promise<void> {
  await waitFor(
    async () => {
      const { groups } = await millrace.inspect(stream)
      return groups.every(
        ({ redriving, pending, lag }) => redriving === 0 && pending === 0 && lag.events === 0,
      )
    },
    { describe: 'all to be settled' },
  )
  const key = `${bed.key(stream)}:redrive:pool`
  if ((await bed.redis.exists(key)) === 0) return
  for (const group of (await bed.redis.xinfo('GROUPS', key)) as unknown[][]) {
    expect(group[group.indexOf('pending') + 1]).toBe(0)
  }
}
describe('A redriven event of a consumer group', () => {
  it('was found among others under load, and is handled once after a fix, in that group only', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const poison = 250
    const here = pool(stream, [poison])
    const there = pool(stream, [], 'other')
    for (const member of ['a', 'b', 'c', 'd']) await here.add(millrace, member, { concurrency: 4 })
    await there.add(millrace, 'x')
    const board: number[] = []
    await millrace.consumer(stream, { name: 'board' }).start(({ data }) => void board.push(data.n))
      .ready
    const added = bed.gather(channels.deadLettered)
    const redriven = bed.gather(channels.redriven)
    for (let first = 0; first < 1_000; first += 100) await bed.append(stream, 100, { first })
    const letters = millrace.deadLetters(stream, 'pool')
    await untilCount(letters, 1)
    await waitFor(() => new Set(here.seen.map(({ n }) => n)).size === 1_000, {
      describe: 'all events',
    })
    expect(here.seen.filter(({ n }) => n === poison).map(({ attempt }) => attempt)).toEqual([1, 2])
    expect(here.seen).toHaveLength(1_001)
    here.broken.clear()
    await redriveAll(letters, 1)
    await bed.append(stream, 100, { first: 1_000 })
    await waitFor(() => here.seen.length === 1_102, {
      describe: 'the redriven event and the new ones',
    })
    await untilSettled(millrace, stream)
    await waitFor(() => there.seen.length === 1_100 && board.length === 1_100, {
      describe: 'the others',
    })
    expect(here.seen.filter((one) => one.redriven)).toMatchObject([{ n: poison, attempt: 1 }])
    expect(here.seen).toHaveLength(1_102)
    expect(there.seen.map(({ n }) => n)).toEqual(range(1_100))
    expect(board).toEqual(range(1_100))
    expect(added).toMatchObject([
      { stream: stream.name, name: 'pool', reason: 'exhausted', attempts: 2, redriven: false },
    ])
    expect(redriven).toEqual([{ stream: stream.name, name: 'pool', events: 1 }])
  })

  it('goes to one member only, whoever takes it', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const { seen, broken, add } = pool(stream, range(200))
    for (const member of ['a', 'b', 'c', 'd']) {
      await add(await bed.open(), member, { concurrency: 4, maxAttempts: 1 })
    }
    await bed.append(stream, 200)
    const letters = millrace.deadLetters(stream, 'pool')
    await untilCount(letters, 200)
    broken.clear()
    await redriveAll(letters, 200)
    await untilSettled(millrace, stream)
    const again = seen.filter(({ redriven }) => redriven)
    expect(again.map(({ n }) => n).toSorted((a, b) => a - b)).toEqual(range(200))
  })

  it('comes back with its attempts added up when it fails for good again', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const { seen, broken, add } = pool(stream, [0])
    await add(millrace, 'a')
    const [id] = await bed.append(stream, 1)
    const letters = millrace.deadLetters(stream, 'pool')
    await redriveAll(letters, 1)
    await waitFor(async () => (await all(letters))[0]?.redrives === 1, { describe: 'its return' })
    expect(await all(letters)).toMatchObject([
      { eventId: id, attempts: 4, reason: 'exhausted', error: 'broken at 0' },
    ])
    broken.clear()
    await redriveAll(letters, 1)
    await untilSettled(millrace, stream)
    expect(seen.map(({ attempt, redriven }) => [attempt, redriven])).toEqual([
      [1, false],
      [2, false],
      [1, true],
      [2, true],
      [1, true],
    ])
    expect(await letters.count()).toBe(0)
  })

  it('comes back at once after an unrecoverable error, whatever the policy of the group', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    await bed.append(stream, 1)
    const handler = (): never => {
      throw new UnrecoverableError('no such flight')
    }
    const first = millrace.consumerGroup(stream, { name: 'pool', leaseMs: 600 }).start(handler)
    const letters = millrace.deadLetters(stream, 'pool')
    await untilCount(letters, 1)
    await first.close()
    const options = { name: 'pool', leaseMs: 600, onExhausted: 'stop' } as const
    const second = millrace.consumerGroup(stream, options).start(handler)
    await redriveAll(letters, 1)
    await untilCount(letters, 1)
    expect(await all(letters)).toMatchObject([
      { reason: 'unrecoverable', attempts: 2, redrives: 1 },
    ])
    expect(second.state).toBe('running')
  })

  it('comes back where it does not decode, and its bytes are kept whatever they are', async () => {
    const millrace = await bed.open()
    const bytes = Buffer.from([0, 255, 254, 10, 13, 128])
    let readable = false
    const codec = {
      name: 'bytes',
      binary: true,
      encode: (value: unknown) => value as Uint8Array,
      decode: (stored: string | Uint8Array) => {
        if (!readable) throw new Error('unreadable')
        return Uint8Array.from(Buffer.from(stored))
      },
    }
    const stream = defineStream<Uint8Array>('bytes', { codec })
    const id = await bed.redis.xadd(
      bed.key(stream),
      '*',
      'data',
      bytes,
      'h:traceparent',
      '00-1-2-01',
      'key',
      'k',
    )
    const seen: unknown[] = []
    const group = millrace.consumerGroup(stream, { name: 'pool', leaseMs: 600 })
    group.start(({ id: eventId, data, headers, key }) => {
      seen.push({ eventId, data: Buffer.from(data), headers, key })
    })
    const letters = millrace.deadLetters(stream, 'pool')
    for (const redrives of [0, 1]) {
      await waitFor(async () => (await all(letters))[0]?.redrives === redrives, {
        describe: 'the letter',
      })
      const [letter] = await all(letters)
      expect(letter).toMatchObject({
        eventId: id,
        reason: 'invalid',
        stored: bytes,
        key: 'k',
        headers: { traceparent: '00-1-2-01' },
        payload: { ok: false, error: { code: 'PAYLOAD_INVALID' } },
      })
      if (redrives > 0) readable = true
      await letters.redrive()
    }
    await waitFor(() => seen.length === 1, { describe: 'the event' })
    expect(seen).toEqual([
      { eventId: id, data: bytes, headers: { traceparent: '00-1-2-01' }, key: 'k' },
    ])
  })

  it('is not lost when the dead letters are full: the member stops and says so', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const { broken, seen, add } = pool(stream, [0])
    const crowded = Promise.withResolvers<void>()
    const cap = { maxAttempts: 1, maxDeadLetters: 1 }
    await bed.append(stream, 1)
    const first = millrace.consumerGroup(stream, { name: 'pool', leaseMs: 600, ...cap })
    first.start(async (_event, { redriven }) => {
      if (redriven) await crowded.promise
      throw new Error('broken')
    })
    const letters = millrace.deadLetters(stream, 'pool')
    await redriveAll(letters, 1)
    await bed.redis.xadd(`${bed.key(stream)}:dead:pool`, '*', 'data', '{"n":7}')
    crowded.resolve()
    await expect(first.done).rejects.toMatchObject({ code: 'DEAD_LETTER_FULL' })
    expect((await millrace.inspect(stream)).groups[0]).toMatchObject({
      deadLetters: 1,
      redriving: 1,
    })
    await letters.discard({ filter: ({ reason }) => reason === 'unknown' })
    broken.clear()
    await add(millrace, 'b', cap)
    await waitFor(() => seen.length === 1, { describe: 'the event that had no room' })
    expect(seen).toMatchObject([{ n: 0, redriven: true }])
  })

  it('is given back by a member that closes, and by one whose handler is cut off', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const { seen, broken, add } = pool(stream, range(20))
    const one = await add(millrace, 'a', { maxAttempts: 1 })
    await bed.append(stream, 20)
    const letters = millrace.deadLetters(stream, 'pool')
    await untilCount(letters, 20)
    await one.close()
    await redriveAll(letters, 20)
    const started = Promise.withResolvers<void>()
    const hanging = millrace.consumerGroup(stream, { name: 'pool', leaseMs: 600, concurrency: 4 })
    hanging.start(async (_event, { signal }) => {
      started.resolve()
      await new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          reject(new Error('told to stop'))
        })
      })
    })
    await started.promise
    await hanging.close({ deadlineMs: 1 })
    broken.clear()
    seen.length = 0
    await add(millrace, 'b', { maxAttempts: 1 })
    await waitFor(() => seen.length === 20, { describe: 'all of them' })
    await untilSettled(millrace, stream)
    expect(seen.map(({ n }) => n).toSorted((a, b) => a - b)).toEqual(range(20))
    expect(await letters.count()).toBe(0)
  })

  it('stays with its member when the connection is cut, and is not handled twice', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const calls: boolean[] = []
    const gate = Promise.withResolvers<void>()
    const running = Promise.withResolvers<void>()
    const group = millrace.consumerGroup(stream, { name: 'pool', leaseMs: 600, maxAttempts: 1 })
    group.start(async (_event, { redriven }) => {
      calls.push(redriven)
      if (!redriven) throw new Error('broken')
      running.resolve()
      await gate.promise
    })
    await bed.append(stream, 1)
    await redriveAll(millrace.deadLetters(stream, 'pool'), 1)
    await running.promise
    const key = `${bed.key(stream)}:redrive:pool`
    const members = async (): Promise<unknown[]> =>
      ((await bed.redis.xinfo('CONSUMERS', key, 'pool')) as unknown[][]).map(([, name]) => name)
    const [before] = await members()
    const joined = bed.gather(channels.leaseChanged)
    for (const id of await bed.clients('group')) await bed.redis.client('KILL', 'ID', id)
    await waitFor(() => joined.some(({ change }) => change === 'acquired'), {
      describe: 'another name',
    })
    await bed.append(stream, 1, { first: 1 })
    await waitFor(
      async () => {
        const after = await members()
        return after.length === 1 && after[0] !== before
      },
      { describe: 'the entry to lie under the new name' },
    )
    gate.resolve()
    await untilSettled(millrace, stream)
    expect(calls).toEqual([false, true, false])
  })

  it('is found again when somebody removes its member from the native group', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const { seen, broken, add } = pool(stream, range(5))
    const one = await add(millrace, 'a', { maxAttempts: 1 })
    await bed.append(stream, 5)
    const letters = millrace.deadLetters(stream, 'pool')
    await untilCount(letters, 5)
    await one.close()
    await redriveAll(letters, 5)
    const key = `${bed.key(stream)}:redrive:pool`
    await bed.redis.xgroup('CREATE', key, 'pool', '0')
    await bed.redis.xreadgroup('GROUP', 'pool', 'nobody', 'COUNT', 3, 'STREAMS', key, '>')
    await bed.redis.xgroup('DELCONSUMER', key, 'pool', 'nobody')
    broken.clear()
    seen.length = 0
    await add(millrace, 'b')
    await waitFor(() => seen.length === 5, { describe: 'all of them' })
    await untilSettled(millrace, stream)
    expect(seen.map(({ n }) => n).toSorted((a, b) => a - b)).toEqual(range(5))
  })
})
