import { describe, expect, test } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { channels } from '../../src/diagnostics.ts'
import { isMillraceError } from '../../src/index.ts'
import { range, useRedis } from '../open-millrace.ts'

const bed = useRedis()
const leaseMs = 1_000

/** A consumer that has handled so many events and is closed. */
async function handleAll(stream: ReturnType<typeof bed.stream>, name: string): Promise<void> {
  const millrace = await bed.open()
  const consumer = millrace.consumer(stream, { name, leaseMs }).start(() => undefined)
  await waitFor(
    async () => {
      const { consumers, lastId } = await millrace.inspect(stream)
      return consumers.find((one) => one.name === name)?.position === lastId
    },
    { describe: 'all events' },
  )
  await consumer.close()
}

describe('a consumer', () => {
  test('goes on from an id, a time, the start or the end; the image and the floor follow', async () => {
    const stream = bed.stream()
    const millrace = await bed.open()
    const admin = millrace.admin(stream)
    const ids = await bed.append(stream, 20)
    await handleAll(stream, 'index')
    // As the last sweep found it.
    await bed.redis.hset(`${bed.key(stream)}:meta`, 'floor', ids[19] ?? '')
    for (const [to, position, again, skipped] of [
      [{ id: ids[9] ?? '' }, ids[9], 10, 0],
      ['latest', ids[19], 0, 10],
      ['earliest', '0-0', 20, 0],
      [{ timeMs: Date.now() + 3_600_000 }, undefined, 0, 20],
      [{ timeMs: 0 }, '0-0', 20, 0],
    ] as const) {
      const dry = await admin.reset('index', { to, dryRun: true })
      const before = await bed.state(stream, 'index')
      const report = await admin.reset('index', { to })
      expect(report).toEqual({ ...dry, dryRun: false })
      expect(report).toMatchObject({ kind: 'consumer', from: before['position'], again, skipped })
      if (position !== undefined) {
        expect(report.to).toBe(position)
        const image = await bed.image(stream, 'index')
        expect(image?.['last-delivered-id']).toBe(position)
        const floor = (await bed.redis.hget(`${bed.key(stream)}:meta`, 'floor')) ?? ''
        expect([floor === '0-0', Number(floor.split('-')[0])].some(Boolean)).toBe(true)
      }
    }
    expect(await bed.redis.hget(`${bed.key(stream)}:meta`, 'floor')).toBe('0-0')
    const handled: number[] = []
    millrace.consumer(stream, { name: 'index' }).start(({ data }) => handled.push(data.n))
    await waitFor(() => handled.length === 20, { describe: 'all of them again' })
    expect(handled).toEqual(range(20))
  })

  test('that is at work is left alone', async () => {
    const stream = bed.stream()
    const millrace = await bed.open()
    await bed.append(stream, 3)
    const consumer = millrace.consumer(stream, { name: 'busy', leaseMs }).start(() => undefined)
    await consumer.ready
    await waitFor(async () => (await bed.state(stream, 'busy'))['position'] !== '0-0', {
      describe: 'the position',
    })
    expect(consumer.position).toBeDefined()
    const before = await bed.state(stream, 'busy')
    const refused = await millrace
      .admin(stream)
      .reset('busy', { to: 'earliest' })
      .catch((error: unknown) => error)
    expect(isMillraceError(refused, 'NAME_IN_USE')).toBe(true)
    expect((await bed.state(stream, 'busy'))['position']).toBe(before['position'])
    expect(consumer.state.is).toBe('holding')
  })

  test('whose holder is dead is reset after a lease, and the holder is refused if it comes back', async () => {
    const stream = bed.stream()
    const millrace = await bed.open()
    await bed.append(stream, 5)
    const proxy = await bed.proxy()
    const cut = await bed.open({}, proxy.url)
    const handled: number[] = []
    const consumer = cut.consumer(stream, { name: 'stalled', leaseMs })
    consumer.start(({ data }) => handled.push(data.n))
    await waitFor(
      async () => !['0-0', undefined].includes((await bed.state(stream, 'stalled'))['position']),
      { describe: 'the position' },
    )
    const lost = bed.gather(channels.leaseChanged)
    const { token } = await bed.state(stream, 'stalled')
    proxy.blackhole('both')
    const report = await millrace.admin(stream).reset('stalled', { to: { id: '0-1' } })
    expect(report.to).toBe('0-1')
    const state = await bed.state(stream, 'stalled')
    expect(state).toMatchObject({
      position: '0-1',
      released: '1',
      ranges: '',
      dead: '',
      attempts: '',
    })
    expect(state['token']).not.toBe(token)
    await proxy.heal()
    // It joins again as anybody would, and handles from the new position on.
    await waitFor(() => handled.length === 10, { describe: 'all of them again' })
    expect(handled).toEqual([...range(5), ...range(5)])
    expect(lost.some(({ change }) => change === 'lost')).toBe(true)
  })

  test('is not reset while a standby takes over', async () => {
    const stream = bed.stream()
    const millrace = await bed.open()
    await bed.append(stream, 5)
    await handleAll(stream, 'taken')
    const state = `${bed.key(stream)}:state:taken`
    // A holder that has died, as its scripts would have left it.
    const dead = {
      token: '7-dead',
      released: '0',
      beat: '3',
      counter: '7',
      leaseMs: '300',
      holder: '',
    }
    for (const round of range(8)) {
      await bed.redis.hset(state, dead)
      const standby = millrace.consumer(stream, { name: 'taken', leaseMs })
      const seen: number[] = []
      standby.start(({ data }) => seen.push(data.n))
      const reset = await millrace
        .admin(stream)
        .reset('taken', { to: 'earliest' })
        .catch((error: unknown) => error)
      await waitFor(() => standby.state.is === 'holding', { describe: 'the takeover' })
      if (reset instanceof Error) {
        // The standby was first: it goes on where the dead one was.
        expect(isMillraceError(reset, 'NAME_IN_USE')).toBe(true)
        expect((await bed.state(stream, 'taken'))['position']).not.toBe('0-0')
      } else {
        // The reset was first: whoever comes then begins there, and nothing is skipped.
        await waitFor(() => seen.length === 5, { describe: `the events of round ${round}` })
      }
      await standby.close()
    }
  })

  test('before what retention has removed is told of the gap', async () => {
    const stream = bed.stream()
    const millrace = await bed.open()
    const admin = millrace.admin(stream)
    const ids = await bed.append(stream, 10)
    await handleAll(stream, 'back')
    await admin.trim({ to: { length: 4 } })
    await admin.reset('back', { to: { id: ids[2] ?? '' } })
    const gaps = bed.gather(channels.gap)
    const handled: number[] = []
    millrace.consumer(stream, { name: 'back' }).start(({ data }) => handled.push(data.n))
    await waitFor(() => handled.length === 4, { describe: 'what is left' })
    expect(handled).toEqual(range(4, 6))
    expect(gaps).toMatchObject([{ name: 'back', from: ids[2], to: ids[5], known: false }])
  })
})

describe('a consumer group', () => {
  test('is reset when nothing is pending; what is pending has to be decided about', async () => {
    const stream = bed.stream()
    const millrace = await bed.open()
    const admin = millrace.admin(stream)
    await bed.append(stream, 6)
    const stuck = Promise.withResolvers<void>()
    const member = millrace.consumerGroup(stream, { name: 'pool', leaseMs, concurrency: 6 })
    let started = 0
    member.start(({ data }) => {
      started++
      return data.n < 3 ? undefined : stuck.promise
    })
    await waitFor(() => started === 6, { describe: 'all to be started' })
    const live = await admin.reset('pool', { to: 'earliest' }).catch((error: unknown) => error)
    expect(isMillraceError(live, 'NAME_IN_USE')).toBe(true)
    await member.close({ deadlineMs: 10 })
    stuck.resolve()

    const refused = await admin.reset('pool', { to: 'earliest' }).catch((error: unknown) => error)
    expect(isMillraceError(refused, 'STATE_INVALID')).toBe(true)
    expect(await admin.reset('pool', { to: 'latest', dryRun: true })).toMatchObject({ pending: 3 })

    // Kept: the three come again although the group begins behind them.
    await admin.reset('pool', { to: 'latest', pending: 'keep' })
    const kept: number[] = []
    const second = millrace.consumerGroup(stream, { name: 'pool', leaseMs })
    second.start(({ data }) => kept.push(data.n))
    await waitFor(() => kept.length === 3, { describe: 'the pending ones' })
    expect(new Set(kept)).toEqual(new Set([3, 4, 5]))
    await second.close()
  })

  test('can discard what is pending, and begins at the new position', async () => {
    const stream = bed.stream()
    const millrace = await bed.open()
    const admin = millrace.admin(stream)
    const ids = await bed.append(stream, 6)
    const never = Promise.withResolvers<void>()
    const member = millrace.consumerGroup(stream, { name: 'pool', leaseMs, concurrency: 6 })
    let started = 0
    member.start(() => {
      started++
      return never.promise
    })
    await waitFor(() => started === 6, { describe: 'all to be started' })
    await member.close({ deadlineMs: 10 })
    const report = await admin.reset('pool', { to: { id: ids[3] ?? '' }, pending: 'discard' })
    expect(report).toMatchObject({ kind: 'group', pending: 6, from: ids[5], again: 2 })
    never.resolve()
    const handled: number[] = []
    millrace.consumerGroup(stream, { name: 'pool' }).start(({ data }) => handled.push(data.n))
    await waitFor(() => handled.length === 2, { describe: 'what is left' })
    expect(handled).toEqual([4, 5])
    const { groups } = await millrace.inspect(stream)
    expect(groups[0]?.members).toHaveLength(1)
  })

  test('whose member comes back from a stall after a reset has nothing to say any more', async () => {
    const stream = bed.stream()
    const millrace = await bed.open()
    await bed.append(stream, 4)
    const proxy = await bed.proxy()
    const cut = await bed.open({}, proxy.url)
    const gate = Promise.withResolvers<void>()
    const handled: number[] = []
    const member = cut.consumerGroup(stream, { name: 'pool', leaseMs, concurrency: 4 })
    member.start(async ({ data }) => {
      handled.push(data.n)
      await gate.promise
    })
    await waitFor(() => handled.length === 4, { describe: 'all to be started' })
    proxy.blackhole('both')
    await millrace.admin(stream).reset('pool', { to: 'earliest', pending: 'discard' })
    gate.resolve()
    await proxy.heal()
    // Its four results count for nothing: the group begins again.
    await waitFor(() => handled.length === 8, { describe: 'all of them again' })
    await waitFor(async () => (await millrace.inspect(stream)).groups[0]?.pending === 0, {
      describe: 'the acknowledgements',
    })
  })
})

test('whom there is not cannot be reset', async () => {
  const stream = bed.stream()
  const millrace = await bed.open()
  const admin = millrace.admin(stream)
  for (const work of [() => admin.reset('nobody', { to: 'earliest' })]) {
    const refused = await work().catch((error: unknown) => error)
    expect(isMillraceError(refused, 'STATE_INVALID')).toBe(true)
  }
  // @ts-expect-error a position has to be given
  expect(() => admin.reset('nobody', {})).toThrow('to must be')
  expect(() => admin.reset('no body', { to: 'latest' })).toThrow('1 to 128 characters')
})
