import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import {
  type CursorForm,
  fieldCursor,
  pollChannels,
  positionCursor,
  timeCursor,
} from '@millrace/poll-adapter'
import { useRedis } from '../open-millrace.ts'
import { append, openFeed, pollAll, range, type Reading, throughJson } from './feed-bed.ts'

const bed = useRedis()

const at = ({ data }: { readonly data: Reading }): number | string | undefined => data.at

interface Case {
  readonly form: () => CursorForm<Reading>
  /** What the old cursor of the event of this millisecond is. */
  readonly at?: (ms: number) => number | string
}

const forms: Readonly<Record<string, Case>> = {
  position: { form: positionCursor },
  'milliseconds, extended': { form: () => timeCursor() },
  'milliseconds, whole': { form: () => timeCursor({ ties: 'whole', settleMs: 5 }) },
  'seconds, extended': { form: () => timeCursor({ form: 's' }) },
  'seconds, whole': { form: () => timeCursor({ form: 's', ties: 'whole', settleMs: 5 }) },
  'dates, extended': { form: () => timeCursor({ form: 'iso' }) },
  'dates of whole seconds': {
    form: () => timeCursor({ form: 'iso', resolutionMs: 1_000, ties: 'whole', settleMs: 5 }),
  },
  'a number field, whole': {
    form: () => fieldCursor({ of: at, as: 'number', ties: 'whole', settleMs: 5 }),
    at: (ms) => ms * 7,
  },
  'a number field, extended': {
    form: () => fieldCursor({ of: at, as: 'number', ties: 'extend' }),
    at: (ms) => ms * 7,
  },
  'a date field, extended': {
    form: () => fieldCursor({ of: at, as: 'iso', ties: 'extend' }),
    at: (ms) => ms * 1_000,
  },
  'an opaque text, whole': {
    form: () => fieldCursor({ of: at, as: 'text', ties: 'whole', settleMs: 5 }),
    at: (ms) => `page ${ms}/a=b`,
  },
  'a sorted text, extended': {
    form: () => fieldCursor({ of: at, as: 'text', isSorted: true, ties: 'extend' }),
    at: (ms) => `v${String(ms).padStart(12, '0')}`,
  },
}

describe.each(Object.entries(forms))('Cursors of the form %s', (_, { form, at: cursorOf }) => {
  const toEvent = (n: number, ms: number, sequence: number): Reading & { id: string } => {
    const own = cursorOf?.(ms)
    return { n, id: `${ms}-${sequence}`, ...(own === undefined ? {} : { at: own }) }
  }

  it('neither skip nor repeat an event at a page border, whatever ties and limits there are', async () => {
    const millrace = await bed.open()
    const ties = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(
        ties,
        fc.integer({ min: 1, max: 7 }),
        fc.boolean(),
        async (sizes, limit, inMemory) => {
          const stream = bed.stream<Reading>()
          // Within the last second of the stream events are in memory from the beginning.
          const stepMs = inMemory ? 3 : 1_700
          const events = sizes.flatMap((size, tie) =>
            range(size).map((sequence) => ({ ms: 5_000 + tie * stepMs, sequence })),
          )
          await append(
            bed,
            stream,
            events.map(({ ms, sequence }, n) => toEvent(n, ms, sequence)),
          )
          const feed = openFeed(bed, millrace, stream, { cursor: form() })
          await feed.ready()
          const seen: number[] = []
          let since: number | string | null = null
          // The newest may be held back until their tie is complete.
          while (seen.length < events.length) {
            const page = await feed.poll({ since, limit, waitMs: 2_000 })
            expect(page.items.length).toBeGreaterThan(0)
            seen.push(...page.items.map(({ n }) => n))
            since = throughJson(page.cursor)
          }
          expect(seen).toEqual(range(events.length))
          expect(await pollAll(feed, { since })).toEqual({ numbers: [], cursor: since })
          await feed.close()
        },
      ),
      { numRuns: 12 },
    )
  })

  it('stand for the same place in another process, in memory or not', async () => {
    const stream = bed.stream<Reading>()
    const events = range(30).map((n) => toEvent(n, 5_000 + Math.floor(n / 4) * 900, n % 4))
    await append(bed, stream, events)
    const feeds = [
      openFeed(bed, await bed.open(), stream, { cursor: form() }),
      openFeed(bed, await bed.open(), stream, { cursor: form(), memoryEvents: 1 }),
    ]
    const seen: number[] = []
    let since: number | string | null = null
    for (let turn = 0; seen.length < events.length; turn++) {
      const page = await feeds[turn % 2]?.poll({ since, limit: 3, waitMs: 2_000 })
      expect(page?.items.length).toBeGreaterThan(0)
      seen.push(...(page?.items ?? []).map(({ n }) => n))
      since = throughJson(page?.cursor ?? null)
    }
    expect(seen).toEqual(range(events.length))
  })
})

describe('A page', () => {
  it.each([
    ['in memory', 1_000],
    ['in Redis', 1],
  ])('ends before it becomes too large, with what is %s', async (_, memoryEvents) => {
    const stream = bed.stream<Reading>()
    const large = 'x'.repeat(1_000)
    await append(
      bed,
      stream,
      range(20).map((n) => ({ n, at: large, id: `${5_000 + n}-0` })),
    )
    const feed = openFeed(bed, await bed.open(), stream, { maxPageBytes: 3_500, memoryEvents })
    const sizes: number[] = []
    const { numbers } = await pollAll(feed, {}, ({ length }) => sizes.push(length))
    expect(numbers).toEqual(range(20))
    expect(Math.max(...sizes)).toBeLessThanOrEqual(4)
    // One event is always a page.
    const tiny = openFeed(bed, await bed.open(), stream, {
      maxPageBytes: 1,
      memoryEvents,
      cursor: timeCursor({ ties: 'whole', settleMs: 1 }),
    })
    const whole: number[] = []
    for (let since: number | string | null = null; whole.length < 20; ) {
      const page = await tiny.poll({ since, waitMs: 5_000 })
      whole.push(...page.items.map(({ n }) => n))
      since = page.cursor
    }
    expect(whole).toEqual(range(20))
  })
})

describe('A tie', () => {
  it('that is larger than the owner allows is an error, not a loss', async () => {
    const stream = bed.stream<Reading>()
    await append(
      bed,
      stream,
      range(50).map((n) => ({ n, id: `9000-${n}` })),
    )
    const form = timeCursor({ ties: 'whole', settleMs: 1 })
    const feed = openFeed(bed, await bed.open(), stream, { cursor: form, maxTie: 20 })
    await expect(feed.poll({ limit: 2 })).rejects.toThrow(/More than 20 events have one cursor/)
  })

  it('that grows behind a caught-up poller is delivered, with extended times', async () => {
    const stream = bed.stream<Reading>()
    const feed = openFeed(bed, await bed.open(), stream, { cursor: timeCursor() })
    await append(bed, stream, [{ n: 0, id: '7000-0' }])
    const first = await feed.poll({ waitMs: 5_000 })
    expect(first).toEqual({ items: [{ n: 0 }], cursor: 7_000.001, hasMore: false })
    await append(bed, stream, [
      { n: 1, id: '7000-1' },
      { n: 2, id: '7001-0' },
    ])
    const { numbers } = await pollAll(feed, { since: first.cursor, waitMs: 5_000, limit: 1 })
    expect(numbers.slice(0, 1)).toEqual([1])
    await waitFor(async () => (await pollAll(feed, { since: 7_000.002 })).numbers.length === 1, {
      describe: 'the last event',
    })
  })

  it('that is larger than the limit comes as a whole where cursors stay plain', async () => {
    const stream = bed.stream<Reading>()
    const form = timeCursor({ form: 'iso', ties: 'whole', settleMs: 1 })
    const feed = openFeed(bed, await bed.open(), stream, { cursor: form })
    await append(
      bed,
      stream,
      range(250).map((n) => ({ n, id: `9000-${n}` })),
    )
    await append(bed, stream, [{ n: 250, id: '9001-0' }])
    const sizes: number[] = []
    await waitFor(
      async () => {
        sizes.length = 0
        const { numbers } = await pollAll(feed, { limit: 10 }, ({ length }) => sizes.push(length))
        return numbers.length === 251
      },
      { describe: 'the last tie to settle' },
    )
    expect(sizes.filter((size) => size > 0)).toEqual([250, 1])
    expect((await feed.poll({ since: '1970-01-01T00:00:09.000Z' })).items).toEqual([{ n: 250 }])
  })

  it('with more events than a number has room for still loses nothing', async () => {
    const stream = bed.stream<Reading>()
    const feed = openFeed(bed, await bed.open(), stream, { cursor: timeCursor({ form: 'ms' }) })
    const pipeline = bed.redis.pipeline()
    for (const n of range(1_500))
      pipeline.xadd(bed.key(stream), `9000-${n}`, 'data', JSON.stringify({ n }))
    pipeline.xadd(bed.key(stream), '9001-0', 'data', JSON.stringify({ n: 1_500 }))
    await pipeline.exec()
    await feed.ready()
    await waitFor(async () => (await feed.poll({ since: 9_000 })).items.length === 1, {
      describe: 'the feed to have everything',
    })
    expect((await pollAll(feed, { limit: 400 })).numbers).toEqual(range(1_501))
  })

  it('tells of an event that plain cursors cannot reach any more', async () => {
    const stream = bed.stream<Reading>()
    const unreachable = bed.gather(pollChannels.itemUnreachable)
    const form = fieldCursor({ of: at, as: 'number', ties: 'unique' })
    const feed = openFeed(bed, await bed.open(), stream, { cursor: form })
    await append(bed, stream, [
      { n: 0, at: 10 },
      { n: 1, at: 20 },
    ])
    await waitFor(async () => (await feed.poll()).items.length === 2, { describe: 'both events' })
    const [late] = await append(bed, stream, [{ n: 2, at: 15 }])
    await waitFor(() => unreachable.length > 0, { describe: 'the fact' })
    expect(unreachable).toEqual([
      { stream: stream.name, feed: stream.name, id: late, cursor: '15', greatest: '20' },
    ])
    // Whoever is still below it gets it.
    expect((await feed.poll({ since: 10 })).items.map(({ n }) => n)).toEqual([1, 2])
  })
})
