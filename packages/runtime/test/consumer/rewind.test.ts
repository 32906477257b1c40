import { describe, expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { channels } from '../../src/diagnostics.ts'
import type { Millrace } from '../../src/index.ts'
import { range, type Reading, useRedis } from '../open-millrace.ts'

const bed = useRedis()

/** The ids of these tests are of 1970, which retention would not keep for long. */
const LASTING = { retention: { maxAgeMs: Number.POSITIVE_INFINITY } } as const

/** Adds events whose ids are given, each with its id as payload. */
async function add(stream: { name: string }, ...ids: string[]): Promise<void> {
  for (const id of ids) {
    const n = Number(id.replace('-', '.'))
    await bed.redis.xadd(bed.key(stream), id, 'data', JSON.stringify({ n } satisfies Reading))
  }
}

/** As at the moment of a failover: every connection of clients is gone. */
async function cutAll(): Promise<void> {
  await waitFor(async () => (await bed.clients('tail')).length > 0, { describe: 'the tail' })
  for (const purpose of ['tail', 'data', 'control']) {
    for (const id of await bed.clients(purpose)) await bed.redis.client('KILL', 'ID', id)
  }
}

/** The stream becomes an older copy with other events, and whoever was connected has to connect again. */
async function failOver(stream: { name: string }, copy: Buffer, ...ids: string[]): Promise<void> {
  await waitFor(async () => (await bed.clients('tail')).length > 0, { describe: 'the tail' })
  const step = bed.redis.multi().restore(bed.key(stream), 0, copy, 'REPLACE')
  for (const id of ids) {
    step.xadd(bed.key(stream), id, 'data', `{"n":${Number(id.replace('-', '.'))}}`, 'key', id)
  }
  await step.call('client', 'kill', 'type', 'normal', 'skipme', 'yes').exec()
}

/** Long leases: nothing is stored meanwhile but what the test asks for. */
const QUIET = { name: 'board', leaseMs: 60_000, checkpointEvery: 100_000 } as const

/** Starts a consumer that has handled the events 1-0 to 5-0 and has stored nothing yet. */
async function handledFive(
  millrace: Millrace,
  stream: ReturnType<typeof bed.stream>,
  handled: number[],
): Promise<void> {
  millrace.consumer(stream, QUIET).start(({ data }) => void handled.push(data.n))
  await waitFor(async () => (await bed.state(stream, 'board'))['kind'] === 'consumer', {
    describe: 'the lease',
  })
  await add(stream, '1-0', '2-0')
  await waitFor(() => handled.length === 2, { describe: 'the first events' })
}

describe('A position that the server does not have', () => {
  it('refuses a checkpoint over an event that was never read', async () => {
    const millrace = await bed.open()
    const stream = bed.stream(LASTING)
    const handled: number[] = []
    await handledFive(millrace, stream, handled)
    const replica = await bed.redis.dumpBuffer(bed.key(stream))
    await add(stream, '3-0', '4-0', '5-0')
    await waitFor(() => handled.length === 5, { describe: 'five events' })
    const positions = bed.gather(channels.positionChanged)
    // A replica that lacked the last three events was promoted, and took others meanwhile.
    await failOver(stream, replica, '4-5', '6-0')

    // A plain checkpoint at 5-0 would have passed 4-5: only 6-0 would be left to read.
    await bed.redis.xgroup('CREATE', bed.key(stream), 'naive', '5-0')
    const naive = await bed.redis.xreadgroup(
      'GROUP',
      'naive',
      'me',
      'STREAMS',
      bed.key(stream),
      '>',
    )
    expect(JSON.stringify(naive)).toContain('6-0')
    expect(JSON.stringify(naive)).not.toContain('4-5')

    await waitFor(() => handled.includes(4.5) && handled.includes(6), {
      describe: 'the event that was never read',
    })
    expect(positions.map(({ change }) => change)).toContain('rewound')
    expect(handled).toEqual([1, 2, 3, 4, 5, 1, 2, 4.5, 6])
    await millrace.close()
    expect((await bed.state(stream, 'board'))['position']).toBe('6-0')
  })

  it('refuses a range that would hide an event that was never read', async () => {
    const millrace = await bed.open()
    const stream = bed.stream(LASTING)
    const handled: number[] = []
    const gate = Promise.withResolvers<void>()
    millrace.consumer(stream, { ...QUIET, order: 'key' }).start(async ({ data }) => {
      if (data.n === 1 && !handled.includes(1)) {
        handled.push(data.n)
        await gate.promise
      } else {
        handled.push(data.n)
      }
    })
    await waitFor(async () => (await bed.state(stream, 'board'))['kind'] === 'consumer', {
      describe: 'the lease',
    })
    const keyed = (id: string): Promise<unknown> =>
      bed.redis.xadd(
        bed.key(stream),
        id,
        'data',
        `{"n":${Number(id.replace('-', '.'))}}`,
        'key',
        id,
      )
    await keyed('1-0')
    await keyed('2-0')
    await waitFor(() => handled.length === 2, { describe: 'the first events' })
    const replica = await bed.redis.dumpBuffer(bed.key(stream))
    await keyed('3-0')
    await keyed('5-0')
    await waitFor(() => handled.length === 4, { describe: 'four events' })
    // The first one still runs, so what is done can only be stored as a range: from 2-0 to 5-0.
    await failOver(stream, replica, '4-5', '6-0')
    gate.resolve()
    await waitFor(() => handled.includes(4.5) && handled.includes(6), {
      describe: 'the event that was never read',
    })
    await millrace.close()
    expect((await bed.state(stream, 'board'))['position']).toBe('6-0')
  })

  it('resumes at the position of the server after a refusal', async () => {
    const millrace = await bed.open()
    const stream = bed.stream(LASTING)
    const handled: number[] = []
    await add(stream, ...range(5, 1).map((n) => `${n}-0`))
    const consumer = millrace.consumer(stream, QUIET).start(({ data }) => void handled.push(data.n))
    await waitFor(() => handled.length === 5, { describe: 'the events' })
    // Somebody moved it while we were not looking.
    await bed.redis.hset(`${bed.key(stream)}:state:board`, 'position', '3-0')
    const positions = bed.gather(channels.positionChanged)
    await cutAll()
    await waitFor(() => handled.length === 7, {
      describe: 'what comes after the position of the server',
    })
    expect(handled).toEqual([1, 2, 3, 4, 5, 4, 5])
    expect(positions).toMatchObject([{ change: 'rewound', to: '3-0' }])
    await consumer.close()
    expect((await bed.state(stream, 'board'))['position']).toBe('5-0')
  })

  it('keeps its results when the server has what it had', async () => {
    const millrace = await bed.open()
    const stream = bed.stream(LASTING)
    const handled: number[] = []
    await handledFive(millrace, stream, handled)
    for (const round of range(5, 3)) {
      await cutAll()
      await add(stream, `${round}-0`)
      await waitFor(() => handled.length === round, { describe: 'the next event' })
    }
    expect(handled).toEqual(range(7, 1))
  })
})

describe('A neighbour that deletes events', () => {
  it('goes on when a neighbour deletes the event at the watermark', async () => {
    const millrace = await bed.open()
    const stream = bed.stream(LASTING)
    const handled: number[] = []
    await handledFive(millrace, stream, handled)
    await add(stream, '3-0')
    await waitFor(() => handled.length === 3, { describe: 'the events' })
    await bed.redis.xdel(bed.key(stream), '3-0')
    const positions = bed.gather(channels.positionChanged)
    await millrace.close()
    expect(await bed.state(stream, 'board')).toMatchObject({ position: '3-0', released: '1' })
    expect(positions).toEqual([])
  })

  it('goes on when the connection is lost before that is known', async () => {
    const millrace = await bed.open()
    const stream = bed.stream(LASTING)
    const handled: number[] = []
    await handledFive(millrace, stream, handled)
    await add(stream, '3-0')
    await waitFor(() => handled.length === 3, { describe: 'the events' })
    await bed.redis.xdel(bed.key(stream), '3-0')
    await cutAll()
    await add(stream, '4-0')
    await waitFor(() => handled.length === 4, { describe: 'the next event' })
    expect(handled).toEqual(range(4, 1))
    const evaluations = async (): Promise<number> =>
      Number(
        /cmdstat_evalsha:calls=(\d+)/.exec(String(await bed.redis.info('commandstats')))?.[1] ?? 0,
      )
    const before = await evaluations()
    for (const _ of range(50)) await bed.redis.ping()
    // Confirmed once, and then nobody asks again and again.
    expect((await evaluations()) - before).toBeLessThan(10)
  })

  it('goes on when it deletes the last event of several ranges', async () => {
    const millrace = await bed.open()
    const stream = bed.stream(LASTING)
    const keyed = (id: string): Promise<unknown> =>
      bed.redis.xadd(bed.key(stream), id, 'data', `{"n":${Number.parseInt(id, 10)}}`, 'key', id)
    const gate = Promise.withResolvers<void>()
    const done: number[] = []
    const leases = bed.gather(channels.leaseChanged)
    const consumer = millrace
      .consumer(stream, { name: 'board', leaseMs: 1_500, order: 'key' })
      .start(async ({ data }) => {
        if (data.n % 3 === 1) await gate.promise
        done.push(data.n)
      })
    for (const n of range(10, 1)) await keyed(`${n}-0`)
    await waitFor(() => done.length === 6, { describe: 'what does not wait' })
    await bed.redis.xdel(bed.key(stream), '3-0', '6-0', '9-0')
    await waitFor(
      async () => (await bed.state(stream, 'board'))['ranges'] === '2-0>3-0,5-0>6-0,8-0>9-0',
      {
        describe: 'the ranges to be stored',
      },
    )
    gate.resolve()
    await waitFor(() => done.length === 10, { describe: 'the others' })
    await consumer.close()
    expect(done.toSorted((a, b) => a - b)).toEqual(range(10, 1))
    expect((await bed.state(stream, 'board'))['position']).toBe('10-0')
    expect(leases.map(({ change }) => change)).toEqual(['acquired', 'released'])
  })
})
