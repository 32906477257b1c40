import { describe, expect, it } from 'vitest'
import { defineStream } from '@millrace/runtime'
import { waitFor } from '@millrace/testkit'
import {
  type CursorForm,
  fieldCursor,
  isPollAdapterError,
  type PollErrorCode,
  type PollRequest,
  positionCursor,
  timeCursor,
} from '@millrace/poll-adapter'
import { useRedis } from '../open-millrace.ts'
import { append, openFeed, pollAll, range, type Reading } from './feed-bed.ts'

const bed = useRedis()
const number = (): CursorForm<Reading> =>
  fieldCursor({ of: ({ data }) => data.at, as: 'number', ties: 'unique' })

async function codeOf(polling: Promise<unknown>): Promise<PollErrorCode | string> {
  try {
    const answer = await polling
    return `answered ${JSON.stringify(answer)}`
  } catch (error) {
    return isPollAdapterError(error) ? error.code : String(error)
  }
}

describe('Nonsense', () => {
  it.each<[string, () => CursorForm<Reading>, PollRequest, PollErrorCode]>([
    ['a text that is no position', positionCursor, { since: 'yesterday' }, 'CURSOR_INVALID'],
    ['half a position', positionCursor, { since: 'abc.12' }, 'CURSOR_INVALID'],
    ['a position with a line break', positionCursor, { since: 'a\nb.1-1' }, 'CURSOR_INVALID'],
    ['a word as a number', number, { since: 'NaN' }, 'CURSOR_INVALID'],
    [
      'a number beyond what numbers can tell apart',
      number,
      { since: '90071992547409930' },
      'CURSOR_INVALID',
    ],
    ['a hexadecimal number', number, { since: '0x10' }, 'CURSOR_INVALID'],
    ['a number ahead of everything', number, { since: 1_000 }, 'CURSOR_AHEAD'],
    ['a number below everything', number, { since: 1 }, 'CURSOR_EXPIRED'],
    ['a date for milliseconds', timeCursor, { since: '2026-01-01' }, 'CURSOR_INVALID'],
    ['a negative time', timeCursor, { since: -5 }, 'CURSOR_INVALID'],
    [
      'the 31st of February',
      () => timeCursor({ form: 'iso' }),
      { since: '2026-02-31T00:00:00Z' },
      'CURSOR_INVALID',
    ],
    ['a time in the future', timeCursor, { since: Date.now() + 3_600_000 }, 'CURSOR_AHEAD'],
    ['a time in seconds for milliseconds', timeCursor, { since: 1_700_000_000 }, 'CURSOR_EXPIRED'],
    ['a limit of 0', positionCursor, { limit: 0 }, 'REQUEST_INVALID'],
    ['a negative limit', positionCursor, { limit: -1 }, 'REQUEST_INVALID'],
    ['a negative wait', positionCursor, { waitMs: -1 }, 'REQUEST_INVALID'],
    ['a since that is not a number', positionCursor, { since: Number.NaN }, 'REQUEST_INVALID'],
  ])('%s is refused, never answered with nothing', async (_, form, request, code) => {
    const stream = bed.stream<Reading>()
    const feed = openFeed(bed, await bed.open(), stream, { cursor: form() })
    await append(bed, stream, [
      { n: 0, at: 10 },
      { n: 1, at: 20 },
    ])
    expect(await codeOf(feed.poll(request))).toBe(code)
  })

  it('lists everything that is wrong with a request, and with options', async () => {
    const feed = openFeed(bed, await bed.open(), bed.stream<Reading>())
    await expect(feed.poll({ limit: 0.5, waitMs: Number.NaN })).rejects.toMatchObject({
      issues: [
        'limit must be a whole number of at least 1',
        'the wait must be a number of at least 0',
      ],
    })
    const millrace = await bed.open()
    expect(() =>
      openFeed(bed, millrace, bed.stream<Reading>(), {
        maxLimit: 0,
        completeAfter: 'then',
        maxTie: -1,
      }),
    ).toThrow(/completeAfter .*maxLimit|maxLimit .*maxTie.*completeAfter/)
  })
})

describe('A position ahead of what this process has seen', () => {
  it('is read from Redis, because another process may have seen more', async () => {
    const stream = bed.stream<Reading>()
    const millrace = await bed.open()
    const feed = openFeed(bed, millrace, stream, { latencyBudgetMs: 0 })
    await millrace.publish(
      stream,
      range(3).map((n) => ({ n })),
    )
    const { cursor } = await pollAll(feed)
    const [incarnation = ''] = String(cursor).split('.')
    expect(await codeOf(feed.poll({ since: `${incarnation}.99999999999999-0` }))).toBe(
      'CURSOR_AHEAD',
    )
    const { id } = await millrace.publish(stream, { n: 3 })
    expect(await feed.poll({ since: `${incarnation}.${id}` })).toMatchObject({ items: [] })
  })
})

describe('A stream that was created anew', () => {
  const cases: [string, () => CursorForm<Reading>][] = [
    ['positions', positionCursor],
    ['times', timeCursor],
    ['dates', () => timeCursor({ form: 'iso', ties: 'whole', settleMs: 1 })],
    ['numbers', number],
    [
      'numbers with positions',
      () => fieldCursor({ of: ({ data }) => data.at, as: 'number', ties: 'extend' }),
    ],
  ]
  it.each(cases)('refuses the %s of before, also of those who wait', async (_, form) => {
    const stream = bed.stream<Reading>()
    const millrace = await bed.open()
    const feed = openFeed(bed, millrace, stream, { cursor: form() })
    await millrace.publish(
      stream,
      range(3).map((n) => ({ n, at: 100 + n })),
    )
    await waitFor(async () => (await feed.poll()).items.length === 3, { describe: 'all events' })
    const { cursor } = await feed.poll()
    const waiting = codeOf(feed.poll({ since: cursor, waitMs: 20_000 }))
    await waitFor(() => feed.waiting === 1, { describe: 'the poll to wait' })
    await bed.redis.flushall()
    expect(await waiting).toBe('STREAM_RECREATED')
    expect(await codeOf(feed.poll({ since: cursor }))).toBe('STREAM_RECREATED')
    await millrace.publish(
      stream,
      range(2).map((n) => ({ n, at: n })),
    )
    await waitFor(async () => (await feed.poll()).items.length === 2, {
      describe: 'the new events',
    })
    expect(await codeOf(feed.poll({ since: cursor }))).toBe('STREAM_RECREATED')
    // A process that has not seen it happen refuses as well.
    const other = openFeed(bed, await bed.open(), stream, { cursor: form() })
    expect(await codeOf(other.poll({ since: cursor }))).toMatch(
      /^(STREAM_RECREATED|CURSOR_EXPIRED|CURSOR_AHEAD)$/,
    )
    const { numbers, cursor: next } = await pollAll(feed)
    expect(numbers).toEqual([0, 1])
    expect(await pollAll(feed, { since: next })).toMatchObject({ numbers: [] })
  })
})

describe('A cursor older than retention', () => {
  it.each<[string, () => CursorForm<Reading>]>([
    ['position', positionCursor],
    ['time', timeCursor],
    ['number', number],
  ])('is refused: %s', async (_, form) => {
    const name = bed.stream<Reading>().name
    const stream = defineStream<Reading>(name, { retention: { maxLength: 100 } })
    const millrace = await bed.open()
    const old = openFeed(bed, millrace, stream, { cursor: form() })
    await millrace.publish(stream, { n: 0, at: 10 })
    await waitFor(async () => (await old.poll()).items.length === 1, {
      describe: 'the first event',
    })
    const { cursor } = await old.poll({ limit: 1 })
    await millrace.publish(
      stream,
      range(2_000, 1).map((n) => ({ n, at: 10 + n })),
    )
    let last = 2_000
    await waitFor(
      async () => {
        last++
        await millrace.publish(stream, { n: last, at: 10 + last })
        return (await millrace.inspect(stream)).trimmed !== ''
      },
      { describe: 'retention to remove events' },
    )
    // A process that still has them in memory answers; one that begins now cannot.
    const feed = openFeed(bed, millrace, stream, { cursor: form(), memoryEvents: 1 })
    expect(await codeOf(feed.poll({ since: cursor }))).toBe('CURSOR_EXPIRED')
    const { items, cursor: first } = await feed.poll({ limit: 5 })
    expect(items.length).toBe(5)
    expect((await feed.poll({ since: first, limit: 2 })).items.length).toBe(2)
  })
})

describe('A cursor below the first event of a stream that has lost nothing', () => {
  it('is refused unless the owner says since when the stream is complete', async () => {
    const stream = bed.stream<Reading>()
    const millrace = await bed.open()
    await append(
      bed,
      stream,
      range(3).map((n) => ({ n, at: 100 + n, id: `${5_000 + n}-0` })),
    )
    const strict = openFeed(bed, millrace, stream, { cursor: number() })
    expect(await codeOf(strict.poll({ since: 42 }))).toBe('CURSOR_EXPIRED')
    const complete = openFeed(bed, millrace, stream, { cursor: number(), completeAfter: 40 })
    expect((await complete.poll({ since: 42 })).items.length).toBe(3)
    expect(await codeOf(complete.poll({ since: 39 }))).toBe('CURSOR_EXPIRED')
    const times = openFeed(bed, millrace, stream, {
      cursor: timeCursor(),
      completeAfter: 'beginning',
    })
    expect((await times.poll({ since: 1_234 })).items.length).toBe(3)
    const timesStrict = openFeed(bed, millrace, stream, { cursor: timeCursor() })
    expect(await codeOf(timesStrict.poll({ since: 1_234 }))).toBe('CURSOR_EXPIRED')
    expect((await timesStrict.poll({ since: 4_999 })).items.length).toBe(3)
  })
})
