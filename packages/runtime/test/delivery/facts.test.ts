import { startFaultProxy, startRedis, waitFor } from '@millrace/testkit'
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  channels,
  connect,
  defineStream,
  type Fact,
  headerOf,
  type SettledDelivery,
  settledDeliveries,
  UnrecoverableError,
} from '../../src/index.ts'
import { DeliveryTally } from '../../src/delivery/tally.ts'

const orders = defineStream<{ order: string }>('orders', { key: ({ order }) => order })
const traceparent = `00-${'a'.repeat(32)}-${'1'.repeat(16)}-01`

describe.each(['consumer', 'group'] as const)('facts about the deliveries of a %s', (kind) => {
  test('are told for many at once, with what became of each', async () => {
    await using server = await startRedis()
    const settled = listenToDeliveries()
    const received = listen(channels.received)
    await using millrace = await connect(server.url, { blockMs: 100 })
    const options = { name: 'board', concurrency: 4, backoff: { firstMs: 1 } }
    const reader =
      kind === 'consumer'
        ? millrace.consumer(orders, { ...options, order: 'key' })
        : millrace.consumerGroup(orders, options)
    const failing = new Set(['b'])
    reader.start(({ data: { order } }) => {
      if (order === 'poison') throw new UnrecoverableError('no')
      if (failing.delete(order)) throw new Error('once')
    })
    await reader.ready
    const published = await millrace.publish(
      orders,
      ['a', 'b', 'poison'].map((order) => ({ order })),
      { headers: { traceparent } },
    )
    const all = (): SettledDelivery[] => settled.flatMap(({ deliveries }) => deliveries)
    await waitFor(() => all().length === 4, { describe: 'all attempts to be told of' })

    expect(settled[0]).toMatchObject({ stream: 'orders', name: 'board', kind })
    // Handlers that are done in the same turn of the event loop are told of together.
    expect(settled.length).toBeLessThan(4)
    const ids = published.map(({ id }) => id)
    const told = all().map(({ id, attempt, outcome }) => `${ids.indexOf(id)} ${attempt} ${outcome}`)
    expect(told.toSorted()).toEqual(['0 1 done', '1 1 failed', '1 2 done', '2 1 failed'])
    for (const { receivedMs, startedMs, settledMs, ...one } of all()) {
      expect(one).toMatchObject({ redriven: false, redelivered: one.attempt > 1, traceparent })
      expect(receivedMs).toBeLessThanOrEqual(startedMs)
      expect(startedMs).toBeLessThanOrEqual(settledMs)
      expect(settledMs).toBeLessThanOrEqual(performance.now())
    }
    const arrived = received.flatMap(({ entries }) => entries)
    expect(arrived.map(([id]) => id)).toEqual(ids)
    expect(arrived.map((entry) => headerOf(entry, 'traceparent'))).toEqual(
      ids.map(() => traceparent),
    )
    expect(received[0]?.by === 'group').toBe(kind === 'group')
    await reader.close()
  })

  test('tell what was interrupted from what failed, and what was redriven', async () => {
    await using server = await startRedis()
    const settled = listenToDeliveries()
    await using millrace = await connect(server.url, { blockMs: 100 })
    const make = (): ReturnType<typeof millrace.consumer | typeof millrace.consumerGroup> =>
      kind === 'consumer'
        ? millrace.consumer(orders, { name: 'board' })
        : millrace.consumerGroup(orders, { name: 'board' })
    const first = make()
    const started = Promise.withResolvers<void>()
    first.start(async (_, { signal }) => {
      started.resolve()
      await new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          reject(new Error('gave up'))
        })
      })
    })
    await millrace.publish(orders, { order: 'a' })
    await started.promise
    await first.close({ deadlineMs: 20 })
    const outcomes = (): string[] =>
      settled.flatMap(({ deliveries }) =>
        deliveries.map(({ outcome, redriven }) => `${outcome} ${redriven}`),
      )
    await waitFor(() => outcomes().length === 1, { describe: 'the interruption to be told of' })
    const second = make()
    let isFixed = false
    second.start(() => {
      if (!isFixed) throw new UnrecoverableError('no')
    })
    const letters = millrace.deadLetters(orders, 'board')
    await waitFor(async () => (await letters.count()) === 1, { describe: 'the dead letter' })
    isFixed = true
    await letters.redrive()
    await waitFor(() => outcomes().length === 3, { describe: 'the redriven event to be done' })
    expect(outcomes()).toEqual(['interrupted false', 'failed false', 'done true'])
    await second.close()
  })

  test('tell of a handler that gave up because the lease was lost', async () => {
    await using server = await startRedis()
    await using proxy = await startFaultProxy(server)
    const settled = listenToDeliveries()
    await using millrace = await connect(proxy.url, { blockMs: 100 })
    const options = { name: 'board', leaseMs: 1_000 }
    const reader =
      kind === 'consumer'
        ? millrace.consumer(orders, options)
        : millrace.consumerGroup(orders, options)
    const started = Promise.withResolvers<void>()
    reader.start(async (_, { signal }) => {
      started.resolve()
      await new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          reject(new Error('gave up'))
        })
      })
    })
    const { id } = await millrace.publish(orders, { order: 'a' })
    await started.promise
    proxy.blackhole('both')
    await waitFor(() => settled.length > 0, { describe: 'the interruption' })
    const [told] = settled.flatMap(({ deliveries }) => deliveries)
    expect(told).toMatchObject({ id, outcome: 'interrupted', attempt: 1 })
    expect(told?.settledMs).toBeGreaterThan(told?.startedMs ?? 0)
    await proxy.heal()
    await reader.close({ deadlineMs: 100 })
  })

  test('tell what Redis has confirmed', async () => {
    await using server = await startRedis()
    const acknowledged = listen(channels.acknowledged)
    const checkpointed = listen(channels.checkpointed)
    await using millrace = await connect(server.url, { blockMs: 100 })
    const reader =
      kind === 'consumer'
        ? millrace.consumer(orders, { name: 'board' })
        : millrace.consumerGroup(orders, { name: 'board' })
    let handled = 0
    reader.start(() => {
      handled++
    })
    const { id } = await millrace.publish(orders, { order: 'a' })
    await waitFor(() => handled === 1, { describe: 'the event to be handled' })
    await reader.close()
    const [told, ...more] = kind === 'group' ? acknowledged : checkpointed
    expect(told).toMatchObject({ stream: 'orders', name: 'board' })
    expect(told).toMatchObject(kind === 'group' ? { ids: [id] } : { position: id, events: 1 })
    expect(told?.durationMs).toBeGreaterThan(0)
    expect(more).toEqual([])
  })
})

test('a message about deliveries never grows without bound', () => {
  const settled = listenToDeliveries()
  const tally = new DeliveryTally('orders', 'board', 'consumer')
  for (let i = 0; i < 256; i++) tally.add(`${i}-0`, i, i + 0.25, i + 0.5, undefined)
  expect(settled.map(({ deliveries }) => deliveries.length)).toEqual([128, 128])
})

test('what is remarkable about deliveries, and their traces, stay at their places in each message', () => {
  const settled = listenToDeliveries()
  const tally = new DeliveryTally('orders', 'board', 'consumer')
  const failed = { attempt: 2, outcome: 'failed', redelivered: true, redriven: false } as const
  for (let i = 0; i < 384; i++) {
    if (i % 100 === 7) tally.remark(failed)
    const carried = i % 150 === 9 ? traceparent : undefined
    tally.add(`${i}-0`, i, i + 0.25, i + 0.5, carried)
  }
  const usual = { attempt: 1, outcome: 'done', redelivered: false, redriven: false }
  const expected = Array.from({ length: 384 }, (_, i) => ({
    id: `${i}-0`,
    ...(i % 100 === 7 ? failed : usual),
    receivedMs: i,
    startedMs: i + 0.25,
    settledMs: i + 0.5,
    traceparent: i % 150 === 9 ? traceparent : undefined,
  }))
  expect(settled.flatMap(({ deliveries }) => deliveries)).toEqual(expected)
})

test('the header of a stored entry is found without decoding it, and of a repeated one the last', () => {
  const fields = ['data', '{}', 'h:a', '1', Buffer.from('h:b'), Buffer.from('2'), 'h:a', '3']
  expect(headerOf(['1-0', fields], 'a')).toBe('3')
  expect(headerOf(['1-0', fields], 'b')).toBe('2')
  expect(headerOf(['1-0', fields], 'data')).toBeUndefined()
  expect(headerOf(['1-0', []], 'a')).toBeUndefined()
})

/** Everything that a channel tells until the test is over. */
function listen<Message extends object>(fact: Fact<Message>): Message[] {
  const messages: Message[] = []
  onTestFinished(fact.subscribe((message) => messages.push(message)))
  return messages
}

/** All deliveries that are told of until the test is over: columns are used again for the next message. */
function listenToDeliveries(): {
  readonly stream: string
  readonly name: string
  readonly kind: string
  readonly deliveries: readonly SettledDelivery[]
}[] {
  const messages: ReturnType<typeof listenToDeliveries> = []
  onTestFinished(
    channels.deliveriesSettled.subscribe((fact) => {
      const { stream, name, kind } = fact
      messages.push({ stream, name, kind, deliveries: settledDeliveries(fact) })
    }),
  )
  return messages
}
