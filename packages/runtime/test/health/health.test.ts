import { startFaultProxy, startRedis, waitFor } from '@millrace/testkit'
import { expect, test } from 'vitest'
import { connect, defineStream } from '../../src/index.ts'

const orders = defineStream<{ order: string }>('orders')
const quick = { blockMs: 100 }

test('says what is read, since when that is confirmed, and that the process is ready', async () => {
  await using server = await startRedis()
  await using millrace = await connect(server.url, quick)
  await using mailer = millrace.consumer(orders, { name: 'mailer' })
  const idle = mailer.health()
  expect(idle).toMatchObject({ kind: 'consumer', name: 'mailer', state: 'idle' })
  expect(idle.confirmedAgoMs).toBeUndefined()
  mailer.start(() => undefined)
  await using packers = millrace.consumerGroup(orders, { name: 'packers' }).start(() => undefined)
  const reader = millrace.reader(orders, { from: 'earliest' })
  const first = reader.next()
  expect(millrace.health().ready).toBe(false)
  await Promise.all([mailer.ready, packers.ready])
  await waitFor(() => millrace.health().ready, { describe: 'health to change' })
  await millrace.publish(orders, { order: 'A-1' })
  expect((await first).value?.data).toEqual({ order: 'A-1' })
  await waitFor(() => millrace.health().reads.every(({ state }) => state === 'reading'), {
    describe: 'health to change',
  })
  const { reads, live, problems, connections } = millrace.health()
  expect(reads.map(({ kind, stream, name }) => `${kind} ${stream} ${name}`).toSorted()).toEqual([
    'consumer orders mailer',
    'group orders packers',
    'reader orders reader',
  ])
  expect(reads.every(({ confirmedAgoMs }) => confirmedAgoMs !== undefined)).toBe(true)
  expect({ live, problems }).toEqual({ live: true, problems: [] })
  expect(connections).toMatchObject({ data: 1, tail: 1 })
  await reader.return()
})

test('turns red when reads no longer come back, says why, and turns green again after that', async () => {
  await using server = await startRedis()
  await using proxy = await startFaultProxy(server)
  await using millrace = await connect(proxy.url, quick)
  const board = millrace.consumer(orders, { name: 'board' }).start(() => undefined)
  const workers = millrace.consumerGroup(orders, { name: 'workers' }).start(() => undefined)
  await waitFor(() => millrace.health().ready, { describe: 'health to change' })
  proxy.blackhole('both')
  await waitFor(() => !millrace.health().ready, { describe: 'health to change' })
  await waitFor(
    () => {
      const { reads } = millrace.health()
      return reads.length === 2 && reads.every(({ state }) => state === 'deaf')
    },
    { describe: 'health to change' },
  )
  const { problems, live } = millrace.health()
  // Nothing answers, so a restart would not help.
  expect(live).toBe(true)
  expect(problems).toHaveLength(2)
  expect(problems.join('\n')).toMatch(/Consumer board of orders is deaf: no read has come back for/)
  await proxy.heal()
  await waitFor(() => millrace.health().ready, { describe: 'health to change' })
  await Promise.all([board.close(), workers.close()])
})

test('is red, and asks for a restart, when a consumer has stopped by itself', async () => {
  await using server = await startRedis()
  await using millrace = await connect(server.url, quick)
  const once = { name: 'once', maxAttempts: 1, onExhausted: 'stop' } as const
  const consumer = millrace.consumer(orders, once).start(() => {
    throw new Error('no paper')
  })
  const group = millrace.consumerGroup(orders, { ...once, name: 'pool' }).start(() => {
    throw new Error('no ink')
  })
  await Promise.all([consumer.ready, group.ready])
  const before = consumer.health()
  expect(['reading', 'standby']).toContain(before.state)
  await millrace.publish(orders, { order: 'A-1' })
  await expect(consumer.done).rejects.toThrow('Consumer once stopped')
  await expect(group.done).rejects.toThrow('failed for good')
  expect(consumer.health()).toMatchObject({ state: 'stopped', holdsLease: false })
  expect(consumer.health().reason).toContain('Consumer once stopped')
  expect(group.health().state).toBe('stopped')
  const { ready, live, reads } = millrace.health()
  expect({ ready, live }).toEqual({ ready: false, live: false })
  expect(reads.map(({ state }) => state)).toEqual(['stopped', 'stopped'])
  // Whoever makes it anew is heard.
  millrace.consumer(orders, { ...once, onExhausted: 'dead-letter' })
  millrace.consumerGroup(orders, { ...once, name: 'pool' })
  expect(millrace.health()).toMatchObject({ ready: true, live: true })
})

test('a paused consumer and one whose handlers are at their limit are well', async () => {
  await using server = await startRedis()
  await using millrace = await connect(server.url, quick)
  const gate = Promise.withResolvers<void>()
  const busy = millrace.consumer(orders, { name: 'busy', maxInFlight: 2 }).start(() => gate.promise)
  const paused = millrace.consumerGroup(orders, { name: 'paused' }).start(() => undefined)
  await Promise.all([busy.ready, paused.ready])
  paused.pause('night')
  await millrace.publish(
    orders,
    Array.from({ length: 8 }, (_, i) => ({ order: `A-${i}` })),
  )
  await waitFor(() => busy.health().state === 'busy', { describe: 'health to change' })
  expect(paused.health()).toMatchObject({ state: 'paused', reason: 'paused by night' })
  expect(millrace.health()).toMatchObject({ ready: true, live: true, problems: [] })
  expect(busy.health().inFlight).toBeGreaterThan(0)
  gate.resolve()
  await waitFor(() => busy.health().inFlight === 0, { describe: 'health to change' })
})

test.each(['consumer', 'group'] as const)(
  'a %s that was busy for long is not red when it reads again, nor green when Redis has gone meanwhile',
  async (kind) => {
    await using server = await startRedis()
    await using proxy = await startFaultProxy(server)
    await using millrace = await connect(proxy.url, quick)
    const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    let started = 0
    const reader =
      kind === 'consumer'
        ? millrace.consumer(orders, { name: 'slow', maxInFlight: 1, leaseMs: 1_000 })
        : millrace.consumerGroup(orders, { name: 'slow', prefetch: 1, leaseMs: 1_000 })
    reader.start(() => gates[started++]?.promise)
    await reader.ready
    await millrace.publish(orders, [{ order: 'a' }, { order: 'b' }, { order: 'c' }])
    const longAgoMs = 2 * quick.blockMs + 3_000
    await waitFor(() => (reader.health().confirmedAgoMs ?? 0) > longAgoMs, {
      describe: 'no read to have come back for long',
    })
    expect(reader.health().state).toBe('busy')
    gates[0]?.resolve()
    const states = new Set<string>()
    await waitFor(
      () => {
        states.add(reader.health().state)
        return started === 2
      },
      { describe: 'the next event to be started', everyMs: 1 },
    )
    expect(states).not.toContain('deaf')
    proxy.blackhole('both')
    await waitFor(() => !millrace.health().ready, { describe: 'red' })
    expect(reader.health().state).toBe('deaf')
    gates[1]?.resolve()
    await proxy.heal()
    await waitFor(() => millrace.health().ready, { describe: 'green' })
    await reader.close()
  },
)

test('one that stands by is well, and is deaf when it hears nothing any more', async () => {
  await using server = await startRedis()
  await using proxy = await startFaultProxy(server)
  await using first = await connect(server.url, quick)
  await using second = await connect(proxy.url, quick)
  const holder = first.consumer(orders, { name: 'board' }).start(() => undefined)
  await holder.ready
  const standby = second.consumer(orders, { name: 'board' }).start(() => undefined)
  await waitFor(() => standby.health().state === 'standby', { describe: 'health to change' })
  expect(second.health().ready).toBe(true)
  proxy.blackhole('both')
  await waitFor(() => standby.health().state === 'deaf', {
    describe: 'health to change',
  })
  expect(first.health().ready).toBe(true)
  await proxy.heal()
  await waitFor(() => standby.health().state === 'standby', {
    describe: 'health to change',
  })
  await standby.close()
})

test('a Millrace that was closed is not ready', async () => {
  await using server = await startRedis()
  const millrace = await connect(server.url)
  expect(millrace.health()).toMatchObject({ ready: true, live: true, reads: [] })
  await millrace.close()
  expect(millrace.health()).toMatchObject({ ready: false, problems: ['Millrace was closed'] })
})

test("tells how far this machine's clock is ahead of Redis'", async () => {
  await using server = await startRedis()
  await using millrace = await connect(server.url)
  const { offsetMs, uncertaintyMs } = await millrace.clockOffset()
  // The server runs on this very machine; Date.now() leaves out the part of a millisecond.
  expect(Math.abs(offsetMs)).toBeLessThanOrEqual(uncertaintyMs + 2)
})
