import { setTimeout as delay } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { createDeliveryRecorder, waitFor } from '@millrace/testkit'
import { type ConsumerOptions, defineStream, UnrecoverableError } from '../../src/index.ts'
import { range, type Reading, useRedis } from '../open-millrace.ts'

const bed = useRedis()

const EVENTS = 3_000
/** One kind of consumer each; all have leases that the faults outlast now and then. */
const PLANS: Readonly<Record<string, Omit<ConsumerOptions, 'name'>>> = {
  sync: { checkpointEvery: 50 },
  slow: { maxInFlight: 30 },
  keyed: { order: 'key', concurrency: 8, checkpointEvery: 50 },
  failing: {
    order: 'key',
    concurrency: 4,
    backoff: { firstMs: 1, greatestMs: 20 },
    maxAttempts: 50,
  },
}

/** Numbers from 0 to 1, the same ones each time. */
function draws(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

function isBeyondHelp(n: number): boolean {
  return n % 997 === 500
}

it('consumers of every kind lose nothing and keep the order while connections, scripts and the server fail', async () => {
  const random = draws(1)
  const stream = defineStream<Reading>('chaos', { key: ({ n }) => `key-${n % 13}` })
  const byKey = createDeliveryRecorder({ order: 'key' })
  const byStream = createDeliveryRecorder({ order: 'stream' })
  const recorderOf = (name: string): typeof byKey =>
    PLANS[name]?.order === 'key' ? byKey : byStream
  const publisher = await bed.open()
  // Two processes, as it were, with a consumer of each kind: one holds, the other stands by.
  for (const _ of range(2)) {
    const millrace = await bed.open({ sameHostTakeover: false, deadlineMs: 1_000 })
    for (const [name, plan] of Object.entries(PLANS)) {
      millrace
        .consumer(stream, { name, leaseMs: 500, latencyBudgetMs: 0, ...plan })
        .start(async ({ id, key, data }, { signal }) => {
          if (name !== 'sync') await new Promise(setImmediate)
          if (name === 'failing' && isBeyondHelp(data.n)) throw new UnrecoverableError('for good')
          if (name === 'failing' && random() < 0.02) throw new Error('this time')
          if (signal.aborted) throw new Error('told to give up')
          recorderOf(name).record({ id, key, sequence: data.n, consumer: name })
        })
    }
  }

  const faults: (() => Promise<unknown>)[] = [
    async () => {
      for (const purpose of ['tail', 'data', 'control']) {
        const [id] = await bed.clients(purpose)
        if (id !== undefined && random() < 0.5) await bed.redis.client('KILL', 'ID', id)
      }
    },
    () => bed.redis.script('FLUSH'),
    () => bed.redis.call('debug', 'sleep', String(random() * 0.5)),
    () => bed.redis.call('client', 'pause', String(Math.round(random() * 400)), 'WRITE'),
  ]
  const calm = new AbortController()
  const harm = (async () => {
    while (!calm.signal.aborted) {
      await faults[Math.floor(random() * faults.length)]?.()
      await delay(100 + random() * 200)
    }
  })()
  const ids: string[] = []
  for (let n = 0; n < EVENTS; n += 50) {
    // Slow enough that each fault meets some of them.
    await delay(random() * 40)
    const batch = await publisher.publish(
      stream,
      range(50, n).map((one) => ({ n: one })),
    )
    ids.push(...batch.map(({ id }) => String(id)))
  }
  calm.abort()
  await harm

  for (const consumer of Object.keys(PLANS)) {
    const living = consumer === 'failing' ? ids.filter((_, n) => !isBeyondHelp(n)) : ids
    const report = (): ReturnType<typeof byKey.report> =>
      recorderOf(consumer).report(living, { consumer })
    await waitFor(() => report().lost === 0, { describe: `all events at ${consumer}` })
    expect(report(), consumer).toMatchObject({ lost: 0, outOfOrder: 0 })
    await waitFor(async () => (await bed.state(stream, consumer))['position'] === ids.at(-1), {
      describe: `the position of ${consumer}`,
    })
  }
  expect(await bed.redis.xlen(`${bed.key(stream)}:dead:failing`)).toBe(
    range(EVENTS).filter(isBeyondHelp).length,
  )
})
