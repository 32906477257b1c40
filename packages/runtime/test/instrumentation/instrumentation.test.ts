import { AsyncLocalStorage } from 'node:async_hooks'
import { startRedis, waitFor } from '@millrace/testkit'
import { describe, expect, test } from 'vitest'
import {
  connect,
  defineStream,
  type Instrumentation,
  isMillraceError,
  type PublishCallFacts,
} from '../../src/index.ts'

const orders = defineStream<{ order: string }>('orders')

/** Notes what it stands around. */
function noting(): Instrumentation & {
  readonly notes: string[]
  readonly place: AsyncLocalStorage<string>
} {
  const notes: string[] = []
  const place = new AsyncLocalStorage<string>()
  return {
    notes,
    place,
    publish<Result>(
      { stream, events }: PublishCallFacts,
      send: (headers: Readonly<Record<string, string>>) => Promise<Result>,
    ): Promise<Result> {
      notes.push(`publish ${events} to ${stream}`)
      return send({ mark: 'added', own: 'added' })
    },
    handle({ stream, name, kind, event, context }, run) {
      notes.push(`${kind} ${name} of ${stream} in ${place.getStore()}: ${event.headers['mark']}`)
      expect(context.attempt).toBe(1)
      return place.run('handler', run)
    },
    background: (begin) => place.run('background', begin),
  }
}

describe('instrumentation', () => {
  test('stands around publishing, whose headers it adds to, and around handlers', async () => {
    await using server = await startRedis()
    const instrumentation = noting()
    const { place, notes } = instrumentation
    await using millrace = await connect(server.url, { blockMs: 100, instrumentation })
    const seen: unknown[] = []
    const handler = async ({ headers }: { headers: object }): Promise<void> => {
      seen.push([place.getStore(), headers])
      await Promise.resolve()
    }
    await place.run('request', async () => {
      const consumer = millrace.consumer(orders, { name: 'board' }).start(handler)
      const group = millrace.consumerGroup(orders, { name: 'pool' }).start(handler)
      await Promise.all([consumer.ready, group.ready])
      await millrace.publish(orders, { order: 'a' }, { headers: { own: 'given' } })
      await millrace.publish(orders, [{ order: 'b' }, { order: 'c' }])
      await millrace.publish(orders, [])
      await waitFor(() => seen.length === 6, { describe: 'all handlers to run' })
    })
    expect(notes.toSorted()).toEqual([
      ...['consumer', 'consumer', 'consumer'].map(
        (kind) => `${kind} board of orders in background: added`,
      ),
      ...['group', 'group', 'group'].map((kind) => `${kind} pool of orders in background: added`),
      'publish 1 to orders',
      'publish 2 to orders',
    ])
    // The caller's own headers win.
    expect(seen).toContainEqual(['handler', { mark: 'added', own: 'given' }])
    expect(seen).toContainEqual(['handler', { mark: 'added', own: 'added' }])
  })

  test('sees what publishing and handling lead to', async () => {
    await using server = await startRedis()
    const outcomes: unknown[] = []
    const note = async (promise: Promise<unknown>): Promise<void> => {
      outcomes.push(await promise.catch((error: unknown) => `failed: ${String(error)}`))
    }
    const instrumentation: Instrumentation = {
      publish(_, send) {
        const sent = send({})
        void note(sent)
        return sent
      },
      handle(_, run) {
        const result = run()
        void note(Promise.resolve(result))
        return result
      },
      background: (begin) => begin(),
    }
    await using millrace = await connect(server.url, { blockMs: 100, instrumentation })
    const { id } = await millrace.publish(orders, { order: 'a' })
    await waitFor(() => outcomes.length === 1, { describe: 'the answer' })
    expect(outcomes).toEqual([{ id, duplicate: false, stored: 'stream' }])
    let attempts = 0
    const board = millrace
      .consumer(orders, { name: 'board', backoff: { firstMs: 1 } })
      .start(async () => {
        await Promise.resolve()
        if (++attempts === 1) throw new Error('once')
        return 'done'
      })
    await waitFor(() => outcomes.length === 3, { describe: 'both attempts' })
    expect(outcomes.slice(1)).toEqual(['failed: Error: once', 'done'])
    await board.close()
  })

  test('does not hide what is wrong with a call', async () => {
    await using server = await startRedis()
    const instrumentation = noting()
    await using millrace = await connect(server.url, { instrumentation })
    const refused = (promise: Promise<unknown>): Promise<void> =>
      expect(promise).rejects.toSatisfy((error) => isMillraceError(error, 'OPTIONS_INVALID'))
    await refused(millrace.publish(orders, { order: 'a' }, { headers: { a: 1 } as never }))
    await refused(millrace.publish(orders, { order: 'a' }, { colour: 'red' } as never))
    await refused(millrace.producer(orders).publishMany({} as never))
  })

  test('must have all of its functions', async () => {
    const instrumentation = { handle: () => undefined } as never
    await expect(connect('redis://127.0.0.1:1', { instrumentation })).rejects.toThrow(
      'instrumentation must have the functions publish, handle and background',
    )
  })
})
