import { waitFor } from '@millrace/testkit'
import { describe, expect, it } from 'vitest'
import {
  channels,
  type ConsumerOptions,
  type EventStream,
  type Millrace,
  UnrecoverableError,
} from '../../src/index.ts'
import { range, type Reading, useRedis } from '../open-millrace.ts'
import { all, quick, untilCount } from './letters.ts'

const bed = useRedis()

interface Seen {
  readonly n: number
  readonly id: string
  readonly attempt: number
  readonly redriven: boolean
}

interface Board {
  readonly seen: Seen[]
  /** The numbers whose handler throws. */
  readonly broken: Set<number>
  stop(): Promise<void>
  readonly done: Promise<void>
}

/** A consumer whose handler throws at some numbers, until they are taken out of the set. */
function board(
  millrace: Millrace,
  stream: EventStream<never, Reading>,
  broken: readonly number[],
  options: Partial<ConsumerOptions> = {},
): Board {
  const seen: Seen[] = []
  const set = new Set(broken)
  const consumer = millrace
    .consumer(stream, { name: 'board', leaseMs: 600, maxAttempts: 2, backoff: quick, ...options })
    .start(async ({ id, data: { n } }, { attempt, redriven }) => {
      await Promise.resolve()
      seen.push({ n, id, attempt, redriven })
      if (set.has(n)) throw new Error(`broken at ${n}`)
    })
  return { seen, broken: set, stop: () => consumer.close(), done: consumer.done }
}

describe('A redriven event of a consumer', () => {
  it('is handled once, outside of order, with its own id, fresh attempts and a mark', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const ids = await bed.append(stream, 10)
    const { seen, broken } = board(millrace, stream, [3])
    const letters = millrace.deadLetters(stream, 'board')
    await untilCount(letters, 1)
    await waitFor(() => seen.some(({ n }) => n === 9), { describe: 'the others' })
    broken.clear()
    expect(await letters.redrive()).toEqual({
      examined: 1,
      matched: 1,
      redriven: 1,
      gone: 0,
      dryRun: false,
    })
    await waitFor(() => seen.some(({ redriven }) => redriven), { describe: 'the redriven event' })
    await waitFor(async () => (await millrace.inspect(stream)).consumers[0]?.redriving === 0, {
      describe: 'the redrive to be settled',
    })
    expect(seen.filter(({ n }) => n === 3)).toEqual([
      { n: 3, id: ids[3], attempt: 1, redriven: false },
      { n: 3, id: ids[3], attempt: 2, redriven: false },
      { n: 3, id: ids[3], attempt: 1, redriven: true },
    ])
    const state = await bed.state(stream, 'board')
    expect(Object.keys(state).filter((field) => field.startsWith('redrive:'))).toEqual([])
  })

  it('leaves position, order and other consumers of the stream alone', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    await bed.append(stream, 5)
    const one = board(millrace, stream, [2])
    const other = board(millrace, stream, [2], { name: 'other' })
    await untilCount(millrace.deadLetters(stream, 'board'), 1)
    await untilCount(millrace.deadLetters(stream, 'other'), 1)
    one.broken.clear()
    other.broken.clear()
    await millrace.deadLetters(stream, 'board').redrive()
    await bed.append(stream, 5, { first: 5 })
    await waitFor(() => one.seen.some(({ redriven }) => redriven), { describe: 'the redrive' })
    await waitFor(() => one.seen.some(({ n }) => n === 9), { describe: 'the stream' })
    await waitFor(() => other.seen.some(({ n }) => n === 9), { describe: 'the other' })
    const inStream = one.seen.filter(({ redriven, attempt }) => !redriven && attempt === 1)
    expect(inStream.map(({ n }) => n)).toEqual(range(10))
    expect(other.seen.filter(({ redriven }) => redriven)).toEqual([])
    expect(await millrace.deadLetters(stream, 'other').count()).toBe(1)
  })

  it('runs beside no other handler in stream order', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    await bed.append(stream, 20)
    let broken = true
    let running = 0
    let most = 0
    let redriven = 0
    const consumer = millrace.consumer(stream, {
      name: 'board',
      leaseMs: 600,
      maxAttempts: 1,
      latencyBudgetMs: 0,
    })
    consumer.start(async (_event, context) => {
      running++
      most = Math.max(most, running)
      await new Promise(setImmediate)
      running--
      if (broken) throw new Error('broken')
      if (context.redriven) redriven++
    })
    const letters = millrace.deadLetters(stream, 'board')
    await untilCount(letters, 20)
    broken = false
    await letters.redrive()
    const count = (): number => redriven
    for (let first = 20; count() < 20; first += 10) await bed.append(stream, 10, { first })
    expect(most).toBe(1)
  })

  it('comes back with its attempts added up when it fails for good again', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const [id] = await bed.append(stream, 1)
    const added = bed.gather(channels.deadLettered)
    const { seen, broken } = board(millrace, stream, [0])
    const letters = millrace.deadLetters(stream, 'board')
    await untilCount(letters, 1)
    const [first] = await all(letters)
    await letters.redrive()
    await waitFor(async () => (await all(letters))[0]?.redrives === 1, { describe: 'its return' })
    await letters.redrive()
    await waitFor(async () => (await all(letters))[0]?.redrives === 2, { describe: 'its return' })
    const [letter] = await all(letters)
    expect(letter).toMatchObject({
      eventId: id,
      attempts: 6,
      reason: 'exhausted',
      error: 'broken at 0',
      stored: first?.stored,
    })
    expect(added).toMatchObject([
      { stream: stream.name, name: 'board', id, reason: 'exhausted', attempts: 2, redriven: false },
      { id, attempts: 2, redriven: true },
      { id, attempts: 2, redriven: true },
    ])
    broken.clear()
    await letters.redrive()
    await waitFor(() => seen.length === 7, { describe: 'success' })
    expect(await letters.count()).toBe(0)
  })

  it('comes back at once after an unrecoverable error, and after a stop policy too', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    await bed.append(stream, 1)
    let how: 'fails' | 'hopeless' = 'hopeless'
    const consumer = millrace.consumer(stream, {
      name: 'board',
      leaseMs: 600,
      maxAttempts: 3,
      backoff: quick,
    })
    consumer.start(() => {
      throw how === 'hopeless' ? new UnrecoverableError('no such flight') : new Error('fails')
    })
    const letters = millrace.deadLetters(stream, 'board')
    await untilCount(letters, 1)
    await letters.redrive()
    await waitFor(async () => (await all(letters))[0]?.redrives === 1, { describe: 'its return' })
    expect(await all(letters)).toMatchObject([
      { reason: 'unrecoverable', attempts: 2, error: 'no such flight' },
    ])
    await consumer.close()
    how = 'fails'
    const stopping = millrace.consumer(stream, {
      name: 'board',
      leaseMs: 600,
      maxAttempts: 2,
      backoff: quick,
      onExhausted: 'stop',
    })
    stopping.start(() => {
      throw new Error('fails')
    })
    await letters.redrive()
    await waitFor(async () => (await all(letters))[0]?.redrives === 2, { describe: 'its return' })
    expect(await all(letters)).toMatchObject([{ reason: 'exhausted', attempts: 4 }])
    expect(stopping.state.is).toBe('holding')
  })

  it('waits for a consumer that is not running, and for more than one page', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    await bed.append(stream, 100)
    const first = board(millrace, stream, range(100), { maxAttempts: 1, order: 'key' })
    const letters = millrace.deadLetters(stream, 'board')
    await untilCount(letters, 100)
    await first.stop()
    const elsewhere = await bed.open()
    expect(await elsewhere.deadLetters(stream, 'board').redrive()).toMatchObject({ redriven: 100 })
    expect((await millrace.inspect(stream)).consumers[0]).toMatchObject({
      deadLetters: 0,
      redriving: 100,
    })
    const second = board(millrace, stream, [])
    await waitFor(() => second.seen.length === 100, { describe: 'all of them' })
    expect(second.seen.map(({ n }) => n)).toEqual(range(100))
    expect(new Set(second.seen.map(({ redriven }) => redriven))).toEqual(new Set([true]))
    await waitFor(async () => (await millrace.inspect(stream)).consumers[0]?.redriving === 0, {
      describe: 'all to be settled',
    })
  })

  it('is not lost when the dead letters are full: the consumer stops and says so', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    await bed.append(stream, 2)
    const cap = { maxAttempts: 1, maxDeadLetters: 1 }
    const crowded = Promise.withResolvers<void>()
    const first = millrace.consumer(stream, { name: 'board', leaseMs: 600, ...cap })
    first.start(async ({ data: { n } }, { redriven }) => {
      if (redriven) await crowded.promise
      if (n === 0) throw new Error('broken')
    })
    const letters = millrace.deadLetters(stream, 'board')
    await untilCount(letters, 1)
    await letters.redrive()
    // Somebody else's letter takes the room meanwhile.
    await bed.redis.xadd(`${bed.key(stream)}:dead:board`, '*', 'data', '{"n":7}')
    crowded.resolve()
    await expect(first.done).rejects.toMatchObject({ code: 'DEAD_LETTER_FULL' })
    expect((await millrace.inspect(stream)).consumers[0]).toMatchObject({
      deadLetters: 1,
      redriving: 1,
    })
    await letters.discard({ filter: ({ reason }) => reason === 'unknown' })
    const second = board(millrace, stream, [], cap)
    await waitFor(() => second.seen.some(({ n, redriven }) => n === 0 && redriven), {
      describe: 'the event that had no room',
    })
  })

  it('is taken again when its handler was cut off by closing, and no attempt is counted', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    await bed.append(stream, 1)
    const first = board(millrace, stream, [0], { maxAttempts: 1 })
    const letters = millrace.deadLetters(stream, 'board')
    await untilCount(letters, 1)
    await first.stop()
    await letters.redrive()
    const started = Promise.withResolvers<void>()
    const hanging = millrace.consumer(stream, { name: 'board', leaseMs: 600, maxAttempts: 1 })
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
    const second = board(millrace, stream, [], { maxAttempts: 1 })
    await waitFor(() => second.seen.length === 1, { describe: 'the event' })
    expect(second.seen).toMatchObject([{ n: 0, attempt: 1, redriven: true }])
    expect(await letters.count()).toBe(0)
  })
})
