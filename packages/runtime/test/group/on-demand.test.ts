import { waitFor } from '@millrace/testkit'
import { afterAll, describe, expect, it } from 'vitest'
import type { GroupDeliveryContext } from '../../src/delivery/context.ts'
import { isMillraceError } from '../../src/errors.ts'
import type { ConsumerGroup } from '../../src/group/group.ts'
import type { GroupOptions } from '../../src/group/options.ts'
import type { EventStream } from '../../src/stream/define-stream.ts'
import { GroupTestbed, type Order } from './group-on-redis.ts'

const bed = await GroupTestbed.start()
afterAll(() => bed[Symbol.asyncDispose]())

/** A delivery that waits until the test says how it ends. */
interface Open {
  readonly id: string
  readonly context: GroupDeliveryContext
  done(): void
  fail(): void
}

interface Member {
  readonly group: ConsumerGroup<Order>
  readonly open: Open[]
}

const QUICK_RETRY = { firstMs: 1, greatestMs: 1, factor: 1, jitter: 0 }

async function member(
  stream: EventStream<Order, Order>,
  options: Partial<GroupOptions> = {},
): Promise<Member> {
  const open: Open[] = []
  const group = bed.group(bed.core(), stream, {
    name: 'queue',
    take: 'on-demand',
    concurrency: 100,
    backoff: QUICK_RETRY,
    ...options,
  })
  group.start(({ id }, context) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    open.push({
      id,
      context,
      done: resolve,
      fail: () => {
        reject(new Error('not this time'))
      },
    })
    return promise
  })
  await group.ready
  return { group, open }
}

/** How many entries are pending, by the label of their member; those given back have none. */
async function pendingOf(stream: EventStream<never, unknown>, label: string): Promise<number> {
  const reply = (await bed.client.xinfo('CONSUMERS', bed.key(stream), 'queue')) as unknown[][]
  let pending = 0
  for (const flat of reply) {
    const name = String(flat[1])
    if (name.startsWith(`${label}:`) && !name.endsWith(':released')) pending += Number(flat[3])
  }
  return pending
}

describe('a member that takes on demand', () => {
  it('hands out as many events as were asked for, and leaves all others to the group', async () => {
    const stream = bed.stream()
    const ids = await bed.append(stream, 20)
    const asking = await member(stream)
    asking.group.ask(3)
    await waitFor(() => asking.open.length === 3, { describe: 'three deliveries' })
    const other = await member(stream, { take: 'ahead' })
    await waitFor(() => other.open.length === 17, { describe: 'the rest' })
    expect(asking.open.map(({ id }) => id)).toEqual(ids.slice(0, 3))
    for (const one of [...asking.open, ...other.open]) one.done()
  })

  it('waits for what comes, and is content with what one read brings', async () => {
    const stream = bed.stream()
    const { group, open } = await member(stream)
    group.ask(10)
    await bed.append(stream, 1)
    await waitFor(() => open.length === 1, { describe: 'the first' })
    await bed.append(stream, 5, 2)
    const other = await member(stream, { take: 'ahead' })
    await waitFor(() => other.open.length === 5, { describe: 'what nobody had asked for' })
    expect(open).toHaveLength(1)
    for (const one of [...open, ...other.open]) one.done()
  })

  it('says when Redis has confirmed that an event is done with', async () => {
    const stream = bed.stream()
    await bed.append(stream, 1)
    const { group, open } = await member(stream)
    group.ask(1)
    await waitFor(() => open.length === 1, { describe: 'the delivery' })
    open[0]?.done()
    expect(await open[0]?.context.confirmed).toBe(true)
    expect(await bed.pending(stream, 'queue')).toBe(0)
  })

  it('says that a failed delivery was not the last, and counts it for the next', async () => {
    const stream = bed.stream()
    await bed.append(stream, 1)
    const { group, open } = await member(stream)
    group.ask(1)
    await waitFor(() => open.length === 1, { describe: 'the delivery' })
    open[0]?.fail()
    expect(await open[0]?.context.confirmed).toBe(false)
    group.ask(1)
    await waitFor(() => open.length === 2, { describe: 'the next delivery' })
    expect(open[1]?.context.attempt).toBe(2)
    open[1]?.done()
  })

  it('gives back what failed when nobody asks here any more, so that another member has it', async () => {
    const stream = bed.stream()
    await bed.append(stream, 1)
    const first = await member(stream, { member: 'first' })
    first.group.ask(1)
    await waitFor(() => first.open.length === 1, { describe: 'the delivery' })
    const second = await member(stream, { member: 'second' })
    second.group.ask(1)
    first.open[0]?.fail()
    await waitFor(() => second.open.length === 1, { describe: 'the delivery to the other' })
    expect(second.open[0]?.context.attempt).toBe(2)
    expect(await pendingOf(stream, 'first')).toBe(0)
    second.open[0]?.done()
    expect(await second.open[0]?.context.confirmed).toBe(true)
  })

  it('reads nothing more once nothing is asked for', async () => {
    const stream = bed.stream()
    const quiet = await member(stream, { member: 'quiet' })
    quiet.group.ask(10)
    await waitFor(async () => (await bed.consumers(stream, 'queue')).length > 0, {
      describe: 'a read under way',
    })
    quiet.group.ask(0)
    const other = await member(stream, { member: 'other' })
    other.group.ask(10)
    // Whoever has it in the end: it must not stay with the member that asks no more.
    await bed.append(stream, 1)
    await waitFor(() => other.open.length === 1, { describe: 'the delivery to the one that asks' })
    expect(quiet.open).toHaveLength(0)
    other.open[0]?.done()
  })

  it('counts the delivery of a process that died, and runs what it left side by side', async () => {
    const stream = bed.stream()
    await bed.append(stream, 4)
    const dead = bed.spawnMember({
      stream: stream.name,
      group: { name: 'queue', concurrency: 4, leaseMs: 1_000 },
      sameHostTakeover: true,
      behaviour: { hang: true },
    })
    await waitFor(() => dead.ids('start').length === 4, { describe: 'all four started' })
    dead.kill('SIGKILL')
    await dead.exited
    const { group, open } = await member(stream, { leaseMs: 1_000 })
    group.ask(4)
    await waitFor(() => open.length === 4, { describe: 'all four, none of them done' })
    expect(open.map(({ context }) => context.attempt)).toEqual([2, 2, 2, 2])
    expect(open.every(({ context }) => context.redelivered)).toBe(true)
    for (const one of open) one.done()
    await waitFor(async () => (await bed.pending(stream, 'queue')) === 0, { describe: 'acks' })
  })

  it('confirms nothing whose lease was lost', async () => {
    const stream = bed.stream()
    await bed.append(stream, 1)
    const { group, open } = await member(stream)
    group.ask(1)
    await waitFor(() => open.length === 1, { describe: 'the delivery' })
    await bed.client.del(`${bed.key(stream)}:state:queue`)
    await waitFor(() => open[0]?.context.signal.aborted === true, { describe: 'the loss' })
    open[0]?.done()
    expect(await open[0]?.context.confirmed).toBe(false)
  })

  it('refuses to be asked when it takes ahead', async () => {
    const stream = bed.stream()
    const { group } = await member(stream, { take: 'ahead' })
    expect(() => {
      group.ask(1)
    }).toThrow(expect.toSatisfy((error) => isMillraceError(error, 'STATE_INVALID')))
  })
})
