import { expect, test } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { channels } from '../../src/diagnostics.ts'
import { range, useRedis } from '../open-millrace.ts'

const bed = useRedis()
const leaseMs = 2_000

test('a paused stream is consumed by nobody, in whatever process, until it is resumed', async () => {
  const stream = bed.stream()
  const [one, two] = [await bed.open(), await bed.open()]
  const facts = bed.gather(channels.adminPaused)
  const seen = new Map<string, number[]>()
  const note = (name: string) => {
    const into: number[] = []
    seen.set(name, into)
    return ({ data }: { data: { n: number } }) => into.push(data.n)
  }
  const consumer = one.consumer(stream, { name: 'consumer', leaseMs }).start(note('consumer'))
  const member = two.consumerGroup(stream, { name: 'group', leaseMs }).start(note('group'))
  await Promise.all([consumer.ready, member.ready])
  await bed.append(stream, 2)
  await waitFor(() => [...seen.values()].every(({ length }) => length === 2), {
    describe: 'the first events',
  })

  const admin = (await bed.open()).admin(stream)
  const [pause] = await admin.pause({ reason: 'the index is\nrebuilt | slowly', by: 'ops|desk' })
  expect(pause).toMatchObject({
    name: undefined,
    by: 'ops/desk',
    reason: 'the index is rebuilt | slowly',
  })
  // Asked for twice it is one pause, since the first time.
  expect(await admin.pause({ reason: 'again', by: 'ops' })).toEqual([
    { name: undefined, by: 'ops', reason: 'again', sinceMs: pause?.sinceMs },
  ])
  expect((await admin.inspect()).pauses).toEqual(await admin.pauses())
  expect((await admin.inspect()).pauses).toHaveLength(1)
  await waitFor(() => consumer.pausedBy.includes('admin') && member.pausedBy.includes('admin'), {
    describe: 'both to hear of it',
  })
  await bed.append(stream, 3, { first: 2 })
  // Whoever starts meanwhile is paused from the start.
  const late = two.consumer(stream, { name: 'late', leaseMs }).start(note('late'))
  const lateMember = one.consumerGroup(stream, { name: 'late-group', leaseMs })
  lateMember.start(note('late-group'))
  await Promise.all([late.ready, lateMember.ready])
  const beats = async (): Promise<number> =>
    Math.min(
      Number((await bed.state(stream, 'late'))['beat']),
      Number((await bed.state(stream, 'consumer'))['beat']),
    )
  const before = await beats()
  await waitFor(async () => (await beats()) > before + 2, { describe: 'leases that are kept' })
  expect(Object.fromEntries(seen)).toEqual({
    consumer: [0, 1],
    group: [0, 1],
    late: [],
    'late-group': [],
  })

  expect(await admin.resume()).toEqual([])
  await waitFor(() => [...seen.values()].every(({ length }) => length === 5), {
    describe: 'all to go on',
  })
  expect(seen.get('consumer')).toEqual(range(5))
  expect(consumer.pausedBy).toEqual([])
  expect(facts.filter(({ name }) => name === 'consumer').map(({ paused }) => paused)).toEqual([
    true,
    false,
  ])
})

test('one name is paused alone, and its own reasons and the stream’s are kept apart', async () => {
  const stream = bed.stream()
  const millrace = await bed.open()
  const admin = millrace.admin(stream)
  await admin.pause({ name: 'held', reason: 'later' })
  const handled: string[] = []
  const held = millrace.consumer(stream, { name: 'held', leaseMs })
  held.start(() => handled.push('held'))
  millrace.consumer(stream, { name: 'free', leaseMs }).start(() => handled.push('free'))
  await held.ready
  await bed.append(stream, 1)
  await waitFor(() => handled.length === 1, { describe: 'the free one' })
  expect(handled).toEqual(['free'])
  expect(held.pausedBy).toEqual(['admin'])

  held.pause()
  await admin.pause({ reason: 'all of it' })
  expect(await admin.resume({ name: 'held' })).toMatchObject([{ name: undefined }])
  await admin.resume()
  await waitFor(() => !held.pausedBy.includes('admin'), { describe: 'the pauses to be over' })
  expect(held.pausedBy).toEqual(['user'])
  expect(handled).toEqual(['free'])
  held.resume()
  await waitFor(() => handled.length === 2, { describe: 'the held one' })
  expect(await admin.pauses()).toEqual([])
})

test('a pause outlives the stream’s re-creation and its consumers', async () => {
  const stream = bed.stream()
  const millrace = await bed.open()
  const admin = millrace.admin(stream)
  await admin.pause({ reason: 'migration' })
  await bed.append(stream, 1)
  expect(await admin.pauses()).toMatchObject([{ reason: 'migration', by: 'millrace' }])
  await admin.create()
  expect(await admin.pauses()).toHaveLength(1)
})
