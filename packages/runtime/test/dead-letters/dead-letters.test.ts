import { fork } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import type { DeadLetter, DeadLetters, EventStream, RedriveProgress } from '../../src/index.ts'
import { range, type Reading, useRedis } from '../open-millrace.ts'
import { waitFor } from '@millrace/testkit'
import { all, dataOf } from './letters.ts'

const bed = useRedis()

/** Puts letters there as a consumer of this name would, numbered from 0. */
async function bury(
  stream: { readonly name: string },
  count: number,
  name = 'pool',
): Promise<string[]> {
  const ids: string[] = []
  for (const n of range(count)) {
    const fields = [
      'data',
      JSON.stringify({ n }),
      'key',
      `k${n % 3}`,
      'h:traceparent',
      `00-${n}-1-01`,
    ]
    const facts = [
      'dead:id',
      `5-${n}`,
      'dead:reason',
      'exhausted',
      'dead:attempts',
      '5',
      'dead:error',
      'no',
    ]
    ids.push(
      String(await bed.redis.xadd(`${bed.key(stream)}:dead:${name}`, '*', ...fields, ...facts)),
    )
  }
  return ids
}

async function waiting(stream: { readonly name: string }, name = 'pool'): Promise<string[]> {
  const entries = await bed.redis.xrange(`${bed.key(stream)}:redrive:${name}`, '-', '+')
  return entries.map(([, fields]) => String(fields[fields.indexOf('dead:id') + 1]))
}

async function open(count: number): Promise<{
  stream: EventStream<Reading, Reading>
  letters: DeadLetters<Reading>
  ids: string[]
}> {
  const millrace = await bed.open()
  const stream = bed.stream()
  return { stream, letters: millrace.deadLetters(stream, 'pool'), ids: await bury(stream, count) }
}

describe('Dead letters', () => {
  it('are counted, listed page by page, and looked at one by one', async () => {
    const { letters, ids } = await open(300)
    expect(await letters.count()).toBe(300)
    const found = await all(letters)
    expect(found.map(({ id }) => id)).toEqual(ids)
    expect(found.map((letter) => dataOf(letter)?.n)).toEqual(range(300))
    expect(found[7]).toMatchObject({
      eventId: '5-7',
      reason: 'exhausted',
      attempts: 5,
      redrives: 0,
      error: 'no',
      timeMs: 5,
      deadSinceMs: Number(ids[7]?.split('-')[0]),
      type: undefined,
      key: 'k1',
      headers: { traceparent: '00-7-1-01' },
      stored: Buffer.from('{"n":7}'),
    })
    const some: DeadLetter<Reading>[] = []
    for await (const letter of letters.list({ after: ids[99] ?? '', limit: 20 })) some.push(letter)
    expect(some.map(({ id }) => id)).toEqual(ids.slice(100, 120))
    expect(await letters.peek(ids[7] ?? '')).toEqual(found[7])
    expect(await letters.peek('1-1')).toBeUndefined()
  })

  it('are told even where they do not decode, or nobody of ours put them there', async () => {
    const { stream, letters } = await open(0)
    const key = `${bed.key(stream)}:dead:pool`
    await bed.redis.xadd(key, '*', 'data', '{"n":', 'dead:id', '5-1', 'dead:reason', 'invalid')
    await bed.redis.xadd(key, '*', 'something', 'else', 'dead:id', 'nonsense')
    const [broken, foreign] = await all(letters)
    expect(broken).toMatchObject({
      eventId: '5-1',
      reason: 'invalid',
      payload: { ok: false, error: { code: 'PAYLOAD_INVALID' } },
      stored: Buffer.from('{"n":'),
    })
    expect(foreign).toMatchObject({
      eventId: foreign?.id,
      reason: 'unknown',
      attempts: 0,
      error: '',
    })
    expect(foreign?.payload.ok).toBe(false)
  })

  it('are redriven as they are, all or those of some ids', async () => {
    const { stream, letters, ids } = await open(100)
    const before = await bed.redis.xrangeBuffer(`${bed.key(stream)}:dead:pool`, '-', '+')
    const some = [ids[3] ?? '', '1-1', ids[1] ?? '', ids[3] ?? '']
    expect(await letters.redrive({ ids: some })).toEqual({
      examined: 2,
      matched: 2,
      redriven: 2,
      gone: 0,
      dryRun: false,
    })
    expect(await waiting(stream)).toEqual(['5-1', '5-3'])
    expect(await letters.redrive()).toMatchObject({ examined: 98, matched: 98, redriven: 98 })
    expect(await letters.count()).toBe(0)
    const after = await bed.redis.xrangeBuffer(`${bed.key(stream)}:redrive:pool`, '-', '+')
    expect(after[0]?.[1]).toEqual(before[1]?.[1])
    expect(after[99]?.[1]).toEqual(before[99]?.[1])
    expect(await letters.redrive()).toMatchObject({ examined: 0, matched: 0, redriven: 0 })
  })

  it('are redriven as a filter and a limit say, oldest first', async () => {
    const { stream, letters } = await open(60)
    const progress: RedriveProgress[] = []
    const report = await letters.redrive({
      filter: async ({ key, payload }) => {
        await Promise.resolve()
        return key === 'k1' && payload.ok && payload.data.n >= 10
      },
      limit: 5,
      onProgress: (step) => progress.push(step),
    })
    expect(report).toEqual({ examined: 23, matched: 5, redriven: 5, gone: 0, dryRun: false })
    expect(await waiting(stream)).toEqual(['5-10', '5-13', '5-16', '5-19', '5-22'])
    expect(await letters.count()).toBe(55)
    expect(progress.at(-1)).toEqual({ examined: 23, matched: 5, redriven: 5, gone: 0 })
  })

  it('stay where they are in a dry run, which tells what would be done', async () => {
    const { stream, letters, ids } = await open(40)
    const filter = ({ key }: DeadLetter): boolean => key === 'k0'
    const matched = { examined: 40, matched: 14, gone: 0, dryRun: true }
    expect(await letters.redrive({ filter, dryRun: true })).toEqual({ ...matched, redriven: 0 })
    expect(await letters.discard({ filter, dryRun: true })).toEqual({ ...matched, discarded: 0 })
    expect((await all(letters)).map(({ id }) => id)).toEqual(ids)
    expect(await bed.redis.exists(`${bed.key(stream)}:redrive:pool`)).toBe(0)
  })

  it('are redriven no faster than the rate, in small steps', async () => {
    const { letters } = await open(13)
    const steps: number[] = []
    const startedMs = performance.now()
    await letters.redrive({ ratePerSecond: 40, onProgress: ({ redriven }) => steps.push(redriven) })
    expect(steps).toEqual([4, 8, 12, 13])
    // The last letter may go when twelve have had their share of a second.
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(295)
  })

  it('that come in during a redrive wait for the next one', async () => {
    const { stream, letters } = await open(20)
    const late: Promise<unknown>[] = []
    const filter = (): boolean => {
      late.push(bury(stream, 1))
      return true
    }
    expect(await letters.redrive({ filter })).toMatchObject({ matched: 20 })
    await Promise.all(late)
    expect(await letters.count()).toBe(20)
  })

  it('are left where they are from the moment on that a signal fires', async () => {
    const { letters } = await open(50)
    const stop = new AbortController()
    let redriven = 0
    const onProgress = (progress: RedriveProgress): void => {
      redriven = progress.redriven
      if (redriven >= 10) stop.abort()
    }
    const redrive = letters.redrive({ ratePerSecond: 50, signal: stop.signal, onProgress })
    await expect(redrive).rejects.toMatchObject({ code: 'ABORTED' })
    expect(redriven).toBe(10)
    expect(await letters.count()).toBe(40)
  })

  it('are discarded for good, but never because an option was left out', async () => {
    const { stream, letters, ids } = await open(10)
    const before = await bed.redis.xlen(`${bed.key(stream)}:dead:pool`)
    expect(before).toBe(10)
    // @ts-expect-error what a program without types may leave out
    await expect(letters.discard()).rejects.toMatchObject({ code: 'OPTIONS_INVALID' })
    await expect(letters.discard({})).rejects.toMatchObject({ code: 'OPTIONS_INVALID' })
    expect(await letters.discard({ ids: [ids[0] ?? '', '1-1'] })).toEqual({
      examined: 1,
      matched: 1,
      discarded: 1,
      gone: 0,
      dryRun: false,
    })
    expect(await letters.discard({ filter: ({ key }) => key === 'k1' })).toMatchObject({
      discarded: 3,
    })
    expect((await all(letters)).map((letter) => dataOf(letter)?.n)).toEqual([2, 3, 5, 6, 8, 9])
    expect(await letters.discard({ filter: () => true })).toMatchObject({ discarded: 6 })
    expect(await bed.redis.exists(`${bed.key(stream)}:redrive:pool`)).toBe(0)
  })

  it('of other consumers and groups are not touched', async () => {
    const { stream, letters } = await open(5)
    await bury(stream, 5, 'other')
    await letters.redrive({ limit: 2 })
    await letters.discard({ filter: () => true })
    expect(await bed.redis.xlen(`${bed.key(stream)}:dead:other`)).toBe(5)
    expect(await bed.redis.exists(`${bed.key(stream)}:redrive:other`)).toBe(0)
    expect(await bed.redis.exists(bed.key(stream))).toBe(0)
  })

  it('are told as gone when somebody else was faster', async () => {
    const { letters, ids } = await open(3)
    const filter = async ({ id }: DeadLetter): Promise<boolean> => {
      if (id === ids[2]) await letters.discard({ ids: [ids[0] ?? ''] })
      return true
    }
    expect(await letters.redrive({ filter })).toMatchObject({ matched: 3, redriven: 2, gone: 1 })
  })

  it('report all wrong options in one error', async () => {
    const { letters } = await open(0)
    const wrong = { ids: ['x'], limit: 0, ratePerSecond: 0, dryRun: 1, onProgres: () => undefined }
    // @ts-expect-error what a program without types may pass
    const redrive = letters.redrive(wrong)
    await expect(redrive).rejects.toMatchObject({
      code: 'OPTIONS_INVALID',
      issues: [
        expect.stringContaining('ids must be'),
        expect.stringContaining('limit must be'),
        expect.stringContaining('ratePerSecond must be'),
        expect.stringContaining('dryRun must be'),
        expect.stringContaining('onProgres is not an option'),
      ],
    })
    expect(() => letters.list({ after: 'yesterday', limit: 1.5 })).toThrow(
      /after must be.*limit must be/,
    )
    await expect(letters.peek('yesterday')).rejects.toMatchObject({ code: 'OPTIONS_INVALID' })
    const millrace = await bed.open()
    expect(() => millrace.deadLetters(bed.stream(), 'no name')).toThrow(
      /must be 1 to 128 characters/,
    )
  })
})

describe('A redrive that is interrupted', () => {
  it('moves every letter once although the answer to each step is lost', async () => {
    const proxy = await bed.proxy()
    const millrace = await bed.open({}, proxy.url)
    const stream = bed.stream()
    await bury(stream, 100)
    const letters = millrace.deadLetters(stream, 'pool')
    // The server knows the script from now on, so that it is sent by its digest.
    await letters.redrive({ limit: 1 })
    let lost = 0
    const lose = (): void => {
      const dropped = proxy.dropNextReply(([name]) => name?.toLowerCase() === 'evalsha')
      void dropped.then(() => lost++)
    }
    lose()
    const report = await letters.redrive({ onProgress: lose })
    await proxy.heal()
    expect(lost).toBe(4)
    expect(report).toMatchObject({ matched: 99, redriven: 99, gone: 0 })
    expect(await waiting(stream)).toEqual(range(100).map((n) => `5-${n}`))
  })

  it('by kill -9 between its steps has lost and doubled nothing, and can be begun again', async () => {
    const { stream, letters } = await open(200)
    const program = new URL('redriving-process.ts', import.meta.url).pathname
    const child = fork(program, [bed.server.url, stream.name, 'pool', '100'], {
      execArgv: ['--conditions=millrace-source'],
    })
    const exited = once(child, 'exit')
    let steps = 0
    child.on('message', () => {
      if (++steps === 4) child.kill('SIGKILL')
    })
    expect((await exited)[1]).toBe('SIGKILL')
    const moved = await waiting(stream)
    const left = (await all(letters)).map(({ eventId }) => eventId)
    expect(moved.length).toBeGreaterThanOrEqual(40)
    expect(left.length).toBeGreaterThan(0)
    expect([...moved, ...left]).toEqual(range(200).map((n) => `5-${n}`))
    await letters.redrive()
    const seen: number[] = []
    const millrace = await bed.open()
    millrace
      .consumerGroup(stream, { name: 'pool', leaseMs: 600, concurrency: 8 })
      .start(({ data }) => {
        seen.push(data.n)
      })
    await waitFor(async () => (await waiting(stream)).length === 0, {
      describe: 'all to be settled',
    })
    expect(seen.toSorted((a, b) => a - b)).toEqual(range(200))
  })
})
