import { describe, expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import * as z from 'zod'
import { channels } from '../../src/diagnostics.ts'
import { defineStream, UnrecoverableError } from '../../src/index.ts'
import { range, useRedis } from '../open-millrace.ts'

const bed = useRedis()

const quick = { firstMs: 1, greatestMs: 5 }

/** The dead letters of a consumer, each as id and fields. */
async function deadLetters(
  stream: { name: string },
  name: string,
): Promise<Record<string, string>[]> {
  const entries = await bed.redis.xrange(`${bed.key(stream)}:dead:${name}`, '-', '+')
  return entries.map(([, flat]) => {
    const fields: Record<string, string> = {}
    for (let i = 0; i + 1 < flat.length; i += 2) fields[String(flat[i])] = String(flat[i + 1])
    return fields
  })
}

describe('A handler that fails', () => {
  it('holds back only the key of a failed event', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    await bed.append(stream, 40, { keyOf: (n) => `flight-${n % 4}` })
    const seen: number[] = []
    const attempts: number[] = []
    const mended = Promise.withResolvers<void>()
    let fails = true
    const consumer = millrace
      .consumer(stream, { name: 'board', order: 'key', backoff: quick, maxAttempts: 1_000 })
      .start(({ data }, { attempt }) => {
        if (data.n === 4) attempts.push(attempt)
        if (data.n === 4 && fails) throw new Error('not yet')
        seen.push(data.n)
      })
    await waitFor(() => seen.length === 31, { describe: 'the other keys' })
    expect(seen.filter((n) => n % 4 === 0)).toEqual([0])
    await waitFor(() => attempts.length >= 3, { describe: 'a few attempts' })
    fails = false
    mended.resolve()
    await waitFor(() => seen.length === 40, { describe: 'the failed key' })
    for (const key of range(4))
      expect(seen.filter((n) => n % 4 === key)).toEqual(range(10).map((i) => i * 4 + key))
    expect(attempts).toEqual(range(attempts.length, 1))
    await consumer.close()
  })

  it('holds back the whole stream where its order is that of the stream', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    await bed.append(stream, 10, { keyOf: String })
    const started: number[] = []
    millrace.consumer(stream, { name: 'board', backoff: quick }).start(({ data }, { attempt }) => {
      started.push(data.n)
      if (data.n === 3 && attempt < 4) throw new Error('not yet')
    })
    await waitFor(() => started.length === 13, { describe: 'all events' })
    expect(started).toEqual([0, 1, 2, 3, 3, 3, 3, 4, 5, 6, 7, 8, 9])
  })

  it('moves an event to the dead letters after the last attempt, byte for byte, and goes on', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const wild = '{"n": 1,  "note":"ü\\u0000"}'
    const id = await bed.redis.xadd(
      bed.key(stream),
      '*',
      'data',
      wild,
      'key',
      'k',
      'h:trace',
      '00-1',
    )
    const [last] = await bed.append(stream, 1, { first: 2 })
    const attempts: number[] = []
    const handled: number[] = []
    const consumer = millrace
      .consumer(stream, { name: 'board', maxAttempts: 3, backoff: quick })
      .start(({ data }, { attempt, redelivered }) => {
        if (data.n === 1) {
          attempts.push(attempt)
          expect(redelivered).toBe(attempt > 1)
          throw new Error('it is broken')
        }
        handled.push(data.n)
      })
    await waitFor(() => handled.length === 1, { describe: 'the event after it' })
    expect(attempts).toEqual([1, 2, 3])
    expect(await deadLetters(stream, 'board')).toEqual([
      {
        data: wild,
        key: 'k',
        'h:trace': '00-1',
        'dead:id': id,
        'dead:reason': 'exhausted',
        'dead:attempts': '3',
        'dead:error': 'it is broken',
      },
    ])
    await consumer.close()
    expect((await bed.state(stream, 'board'))['position']).toBe(last)
  })

  it('is not asked again about an event that nothing can save', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    await bed.append(stream, 2)
    const attempts: string[] = []
    millrace.consumer(stream, { name: 'board' }).start(({ data }, { attempt }) => {
      attempts.push(`${data.n}:${attempt}`)
      if (data.n === 0) throw new UnrecoverableError('no such flight')
    })
    await waitFor(() => attempts.length === 2, { describe: 'both events' })
    expect(attempts).toEqual(['0:1', '1:1'])
    expect(await deadLetters(stream, 'board')).toMatchObject([{ 'dead:reason': 'unrecoverable' }])
  })

  it('does not move an event to the dead letters twice', async () => {
    const proxy = await bed.proxy()
    const millrace = await bed.open({}, proxy.url)
    const stream = bed.stream()
    await bed.append(stream, 3)
    const lost = proxy.dropNextReply((command) => command.some((word) => word.includes(':dead:')))
    const handled: number[] = []
    millrace.consumer(stream, { name: 'board', maxAttempts: 1 }).start(({ data }) => {
      handled.push(data.n)
      if (data.n === 1) throw new Error('it is broken')
    })
    await lost
    await waitFor(() => handled.includes(2), { describe: 'the event after it' })
    expect(await deadLetters(stream, 'board')).toHaveLength(1)
  })

  it('does not move it twice after a crash between the dead letter and the checkpoint either', async () => {
    const stream = bed.stream()
    await bed.append(stream, 3)
    const first = await bed.open({ sameHostTakeover: false })
    const dead = Promise.withResolvers<void>()
    first
      .consumer(stream, { name: 'board', order: 'key', leaseMs: 500 })
      .start(async ({ data }, { signal }) => {
        if (data.n === 1) throw new UnrecoverableError('it is broken')
        if (data.n === 2) dead.resolve()
        // The first event never ends, so that the position stays before all of them.
        if (data.n === 0) await new Promise((resolve) => signal.addEventListener('abort', resolve))
      })
    await bed.redis.xadd(bed.key(stream), '*', 'data', '{"n":3}', 'key', 'other')
    await waitFor(async () => (await bed.state(stream, 'board'))['kind'] === 'consumer', {
      describe: 'the lease',
    })
    // Nothing has a key here, so that all wait behind the first: as if the process had died with it.
    const state = await bed.state(stream, 'board')
    await bed.redis.hset(`${bed.key(stream)}:state:board`, 'token', '99-somebody', 'released', '1')
    const handled: number[] = []
    const attempt = async (): Promise<void> => {
      const millrace = await bed.open()
      const consumer = millrace.consumer(stream, { name: 'board' }).start(({ data }) => {
        if (data.n === 1) throw new UnrecoverableError('it is broken')
        handled.push(data.n)
      })
      await waitFor(() => handled.includes(3), { describe: 'all events' })
      await consumer.close()
    }
    await first.close()
    await attempt()
    expect(await deadLetters(stream, 'board')).toHaveLength(1)
    // The position was lost, the dead letter was not: as if the checkpoint had never been stored.
    const [, { 'dead:id': id = '' } = {}] = [0, (await deadLetters(stream, 'board'))[0]]
    await bed.redis.hset(
      `${bed.key(stream)}:state:board`,
      'position',
      state['position'] ?? '',
      'ranges',
      '',
      'dead',
      id,
    )
    handled.length = 0
    await attempt()
    expect(handled).toEqual([0, 2, 3])
    expect(await deadLetters(stream, 'board')).toHaveLength(1)
  })

  it('stops the consumer where its owner wants that, and a restart resumes at that very event', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    await bed.append(stream, 10)
    const handled: number[] = []
    const options = { name: 'board', maxAttempts: 1, onExhausted: 'stop', leaseMs: 60_000 } as const
    const consumer = millrace.consumer(stream, options).start(({ data }) => {
      if (data.n === 6) throw new Error('it is broken')
      handled.push(data.n)
    })
    await expect(consumer.done).rejects.toMatchObject({ code: 'HANDLER_FAILED' })
    expect(consumer.state).toMatchObject({ is: 'stopped', error: { code: 'HANDLER_FAILED' } })
    await consumer.closed
    await consumer.close()
    const again = millrace.consumer(stream, options).start(({ data }) => void handled.push(data.n))
    await waitFor(() => handled.at(-1) === 9, { describe: 'the rest' })
    expect(handled).toEqual(range(10))
    await again.close()
  })

  it('stops the consumer when its dead letters are full, and loses none', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    const ids = await bed.append(stream, 5)
    const fail = (): never => {
      throw new UnrecoverableError('it is broken')
    }
    const consumer = millrace.consumer(stream, { name: 'board', maxDeadLetters: 3 }).start(fail)
    await expect(consumer.done).rejects.toMatchObject({ code: 'DEAD_LETTER_FULL' })
    expect((await deadLetters(stream, 'board')).map((fields) => fields['dead:id'])).toEqual(
      ids.slice(0, 3),
    )
    await bed.redis.del(`${bed.key(stream)}:dead:board`)
    const again = millrace.consumer(stream, { name: 'board', maxDeadLetters: 3 }).start(fail)
    await waitFor(async () => (await deadLetters(stream, 'board')).length === 2, {
      describe: 'the others',
    })
    expect((await deadLetters(stream, 'board')).map((fields) => fields['dead:id'])).toEqual(
      ids.slice(3),
    )
    await again.close()
  })

  it('counts as failed when it takes too long, and is not run twice at a time', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    await bed.append(stream, 2)
    const log: string[] = []
    let running = 0
    millrace
      .consumer(stream, { name: 'board', handlerTimeoutMs: 50, backoff: quick })
      .start(async ({ data }, { signal, attempt }) => {
        expect(++running).toBe(1)
        log.push(`${data.n}:${attempt}`)
        if (data.n === 0 && attempt === 1) {
          await new Promise((resolve) => signal.addEventListener('abort', resolve))
          expect(signal.reason).toMatchObject({ code: 'HANDLER_FAILED' })
          for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
        }
        running--
      })
    await waitFor(() => log.length === 3, { describe: 'both events' })
    expect(log).toEqual(['0:1', '0:2', '1:1'])
  })

  it('does not hold an event longer than it may, however many attempts are left', async () => {
    const millrace = await bed.open()
    const stream = bed.stream()
    await bed.append(stream, 1)
    let attempts = 0
    millrace
      .consumer(stream, {
        name: 'board',
        maxAttempts: 1_000,
        maxHoldMs: 100,
        backoff: { firstMs: 10, greatestMs: 20 },
      })
      .start(() => {
        attempts++
        throw new Error('it is broken')
      })
    await waitFor(async () => (await deadLetters(stream, 'board')).length === 1, {
      describe: 'the dead letter',
    })
    expect(attempts).toBeLessThan(100)
  })

  it('keeps its attempts over a hand-over', async () => {
    const stream = bed.stream()
    await bed.append(stream, 1)
    const attempts: number[] = []
    const run = async (): Promise<void> => {
      const millrace = await bed.open()
      const consumer = millrace
        .consumer(stream, { name: 'board', maxAttempts: 50, backoff: { firstMs: 1_000 } })
        .start((_event, { attempt }) => {
          attempts.push(attempt)
          throw new Error('it is broken')
        })
      const before = attempts.length
      await waitFor(() => attempts.length > before, { describe: 'an attempt' })
      await consumer.close()
    }
    for (const _ of range(3)) await run()
    expect(attempts).toEqual([1, 2, 3])
  })
})

describe('A payload that cannot be read', () => {
  const schema = z.object({ n: z.number() })

  it.each([
    ['dead-letter', 1],
    ['skip', 0],
  ] as const)('is treated as its owner wants: %s', async (onInvalid, dead) => {
    const millrace = await bed.open()
    const stream = defineStream(`strict-${onInvalid}`, { schema })
    await bed.append(stream, 1)
    await bed.redis.xadd(bed.key(stream), '*', 'data', '{"n":"one"}')
    await bed.append(stream, 1, { first: 2 })
    const handled: number[] = []
    millrace
      .consumer(stream, { name: 'board', onInvalid })
      .start(({ data }) => void handled.push(data.n))
    await waitFor(() => handled.length === 2, { describe: 'the others' })
    expect(handled).toEqual([0, 2])
    expect(await deadLetters(stream, 'board')).toHaveLength(dead)
  })

  it('stops the consumer where its owner wants that, after everything before it was stored', async () => {
    const millrace = await bed.open()
    const stream = defineStream('strict-stop', { schema })
    const [first] = await bed.append(stream, 1)
    await bed.redis.xadd(bed.key(stream), '*', 'data', '{"n":"one"}')
    const failures = bed.gather(channels.leaseChanged)
    const consumer = millrace
      .consumer(stream, { name: 'board', onInvalid: 'stop' })
      .start(() => undefined)
    await expect(consumer.done).rejects.toMatchObject({ code: 'PAYLOAD_INVALID' })
    expect((await bed.state(stream, 'board'))['position']).toBe(first)
    expect(failures.map(({ change }) => change)).toContain('acquired')
  })
})
