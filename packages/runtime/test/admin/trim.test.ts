import fc from 'fast-check'
import { expect, test } from 'vitest'
import { waitFor } from '@millrace/testkit'
import type { TrimReport } from '../../src/index.ts'
import { channels } from '../../src/diagnostics.ts'
import { range, useRedis } from '../open-millrace.ts'

const bed = useRedis({ args: ['--stream-node-max-entries', '8'] })

test('a dry run says what a trim then does, to an id, a time and a length', async () => {
  const stream = bed.stream()
  const millrace = await bed.open()
  const admin = millrace.admin(stream)
  await admin.create()
  // Somebody who has handled one event, and a member that has one pending.
  const ids = await bed.append(stream, 40)
  const done = millrace.consumer(stream, { name: 'done', from: { id: ids[9] ?? '' } })
  await done.start(() => undefined).ready
  await waitFor(async () => (await bed.state(stream, 'done'))['position'] === ids[39], {
    describe: 'the position',
  })
  await done.close()
  await bed.redis.xgroup('CREATE', bed.key(stream), 'foreign', ids[4] ?? '')
  await bed.redis.xreadgroup(
    ...(['GROUP', 'foreign', 'c', 'COUNT', 3, 'STREAMS', bed.key(stream), '>'] as const),
  )
  await bed.redis.xgroup('CREATE', bed.key(stream), 'ahead', '$')

  for (const [to, removed, lost] of [
    [{ id: ids[6] ?? '' }, 6, 1],
    [{ length: 30 }, 4, 4],
    [{ length: 30 }, 0, 0],
    [{ timeMs: Date.now() + 60_000 }, 30, 30],
  ] as const) {
    const dry = await admin.trim({ to, dryRun: true })
    const length = await bed.redis.xlen(bed.key(stream))
    const real = await admin.trim({ to })
    expect(withoutMode(dry)).toEqual(withoutMode(real))
    expect(real.removed).toBe(removed)
    expect(real.unread).toEqual(
      lost === 0 ? [] : [{ name: 'foreign', kind: 'foreign', events: lost }],
    )
    expect(await bed.redis.xlen(bed.key(stream))).toBe(length - removed)
  }
})

test('a consumer learns of the gap and how much it lost, and a name that is done loses nothing', async () => {
  const stream = bed.stream()
  const millrace = await bed.open()
  const gaps = bed.gather(channels.gap)
  const first = millrace.consumer(stream, { name: 'slow' })
  await first.start(() => undefined).ready
  await first.close()
  const ids = await bed.append(stream, 30)
  const report = await millrace.admin(stream).trim({ to: { id: ids[20] ?? '' } })
  expect(report).toEqual({
    dryRun: false,
    removed: 20,
    lastId: ids[19],
    unread: [{ name: 'slow', kind: 'consumer', events: 20 }],
  })
  const handled: number[] = []
  millrace.consumer(stream, { name: 'slow' }).start(({ data }) => handled.push(data.n))
  await waitFor(() => handled.length === 10, { describe: 'what is left' })
  expect(gaps).toMatchObject([{ name: 'slow', to: ids[19], events: 20, known: true }])
})

test('trimming while consumers, groups and joiners come and go: handled and lost are all', async () => {
  const stream = bed.stream()
  const millrace = await bed.open()
  const admin = millrace.admin(stream)
  const total = 3_000
  const handled = new Map<string, Set<number>>()
  const note = (name: string) => {
    const into = new Set<number>()
    handled.set(name, into)
    return async ({ data }: { data: { n: number } }) => {
      into.add(data.n)
      if (data.n % 50 === 0) await new Promise(setImmediate)
    }
  }
  await admin.create()
  const lost = new Map<string, number>()
  let removed = 0
  const trims = async (): Promise<void> => {
    for (let n = 0; removed < total - 200 && n < 500; n++) {
      const { length } = await admin.inspect()
      const report = await admin.trim({ to: { length: Math.max(length - 60, 100) } })
      removed += report.removed
      for (const { name, events } of report.unread) lost.set(name, (lost.get(name) ?? 0) + events)
    }
  }
  const joins = async (): Promise<void> => {
    for (const n of range(6)) {
      const name = `joiner-${n}`
      await millrace.consumer(stream, { name, from: 'earliest' }).start(note(name)).ready
      const group = `group-${n}`
      await millrace.consumerGroup(stream, { name: group }).start(note(group)).ready
    }
  }
  await bed.append(stream, total)
  await Promise.all([trims(), joins()])
  await waitFor(
    async () => {
      const { consumers, groups } = await admin.inspect()
      return (
        consumers.every(({ position, gap }) => position !== '0-0' && gap === undefined) &&
        [...consumers, ...groups].every(({ lag }) => lag.events === 0) &&
        groups.every(({ pending }) => pending === 0)
      )
    },
    { describe: 'everybody to be done' },
  )
  const { consumers, groups, length } = await admin.inspect()
  expect(length).toBe(total - removed)
  for (const { name, expired } of [...consumers, ...groups]) {
    expect(expired).toBe(lost.get(name) ?? 0)
    const seen = handled.get(name) ?? new Set()
    // Nothing that is still there was missed, whenever the name came to be.
    for (const n of range(length, total - length)) expect(seen.has(n)).toBe(true)
    // What was handled while it was being removed counts as lost as well.
    expect(seen.size + expired).toBeGreaterThanOrEqual(total - removed)
  }
})

test('whatever lies where, a dry run and the trim agree', async () => {
  const millrace = await bed.open()
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 60 }),
      fc.array(fc.nat(60), { maxLength: 4 }),
      fc.array(fc.nat(59), { maxLength: 6 }),
      fc.nat(60),
      async (count, positions, deleted, keep) => {
        const stream = bed.stream()
        const admin = millrace.admin(stream)
        await admin.create()
        const ids = await bed.append(stream, count)
        for (const [n, position] of positions.entries()) {
          const id = ids[position] ?? '0-0'
          await bed.redis.xgroup('CREATE', bed.key(stream), `g${n}`, id)
          const read = ['GROUP', `g${n}`, 'c', 'COUNT', position + 1] as const
          await bed.redis.xreadgroup(...read, 'STREAMS', bed.key(stream), '>')
        }
        const gone = deleted.flatMap((n) => ids[n] ?? [])
        if (gone.length > 0) await bed.redis.xdel(bed.key(stream), ...gone)
        const to = { length: keep }
        const dry = await admin.trim({ to, dryRun: true })
        expect(withoutMode(await admin.trim({ to }))).toEqual(withoutMode(dry))
      },
    ),
    { numRuns: 60 },
  )
})

test('a dry run of a long stream with many pending entries comes to an end', async () => {
  const stream = bed.stream()
  const millrace = await bed.open()
  const admin = millrace.admin(stream)
  await admin.create()
  const ids = await bed.append(stream, 2_000)
  await bed.redis.xgroup('CREATE', bed.key(stream), 'busy', '0')
  await bed.redis.xreadgroup(
    ...(['GROUP', 'busy', 'c', 'COUNT', 1_500, 'STREAMS', bed.key(stream), '>'] as const),
  )
  // More than one call looks at: pending, and in the stream no more.
  await bed.redis.xdel(bed.key(stream), ...ids.slice(200, 800))
  const to = { length: 100 }
  const dry = await admin.trim({ to, dryRun: true })
  expect(dry).toMatchObject({ removed: 1_300, lastId: ids[1_899] })
  const real = await admin.trim({ to })
  expect(withoutMode(real)).toEqual(withoutMode(dry))
})

test('says what is wrong with its options, and has nothing to do without a stream', async () => {
  const millrace = await bed.open()
  const admin = millrace.admin(bed.stream())
  expect(await admin.trim({ to: { length: 0 } })).toMatchObject({ removed: 0, unread: [] })
  expect(() => admin.trim({ to: { length: 1, id: '1-0' } })).toThrow('to must be')
  expect(() => admin.trim({ to: { length: -1 } })).toThrow('to must be')
})

function withoutMode({ removed, lastId, unread }: TrimReport): Omit<TrimReport, 'dryRun'> {
  return { removed, lastId, unread: unread.toSorted((a, b) => (a.name < b.name ? -1 : 1)) }
}
