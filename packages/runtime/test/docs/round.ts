import { waitFor } from '@millrace/testkit'
import {
  connect,
  defineStream,
  type EventStream,
  type Millrace,
  UnrecoverableError,
} from '../../src/index.ts'

/** A stream whose events fail where they say so. */
export interface Order {
  readonly order: string
  readonly fails?: 'always' | 'once'
}

export const orders: EventStream<Order> = defineStream<Order>('orders', {
  key: ({ order }) => order,
})

export interface Round {
  readonly published: number
  readonly consumed: ReadonlySet<string>
  readonly worked: ReadonlySet<string>
  readonly read: number
}

/**
 * Everything once: events with and without idempotency keys, a consumer and a group of two members that
 * each retry one event and give one up, live readers, inspection.
 */
export async function fullRound(
  url: string,
  whileOpen?: (millrace: Millrace) => Promise<void>,
): Promise<Round> {
  await using millrace = await connect(url, { blockMs: 300 })
  const consumed = new Set<string>()
  const worked = new Set<string>()
  const handle = (into: Set<string>) => {
    const failed = new Set<string>()
    return ({ id, data }: { id: string; data: Order }): void => {
      if (data.fails === 'always') throw new UnrecoverableError('this one never works')
      if (data.fails === 'once' && !failed.has(id)) {
        failed.add(id)
        throw new Error('not yet')
      }
      into.add(id)
    }
  }
  const backoff = { firstMs: 1, greatestMs: 1 }
  const board = millrace.consumer(orders, { name: 'board', backoff }).start(handle(consumed))
  const members = [1, 2].map(() =>
    millrace
      .consumerGroup(orders, { name: 'workers', backoff, concurrency: 4 })
      .start(handle(worked)),
  )
  await Promise.all([board.ready, ...members.map(({ ready }) => ready)])
  let read = 0
  const reading = (async () => {
    for await (const event of millrace.reader(orders, { from: 'earliest' })) {
      read++
      if (event.data.order === 'last') break
    }
  })()

  await millrace.publish(orders, { order: 'A-1' }, { idempotencyKey: 'A-1', type: 'placed' })
  await millrace.publish(orders, { order: 'A-1' }, { idempotencyKey: 'A-1', type: 'placed' })
  await millrace.publish(orders, [
    { order: 'A-2', fails: 'once' },
    { order: 'A-3', fails: 'always' },
    { order: 'A-4' },
  ])
  await millrace.publish(orders, { order: 'last' }, { timeMs: 1, headers: { source: 'shop' } })
  await reading
  await waitFor(() => consumed.size === 4 && worked.size === 4, { describe: 'all events' })
  await waitFor(
    async () => {
      const { consumers, groups } = await millrace.inspect(orders)
      return (
        consumers[0]?.deadLetters === 1 && groups[0]?.deadLetters === 1 && groups[0].pending === 0
      )
    },
    { describe: 'the dead letters' },
  )
  await whileOpen?.(millrace)
  return { published: 5, consumed, worked, read }
}
