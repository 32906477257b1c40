import { describe, expect, it } from 'vitest'
import { type Cursor, defineSource, type Page } from '@millrace/poll-adapter'
import { readPage } from '../../src/bridge/paging.ts'
import { SourcePosition } from '../../src/change/position.ts'

interface Row {
  readonly id: string
  readonly at: number
}

/** An endpoint over rows: what is after the cursor, or at it, too, page by page. */
interface Endpoint {
  readonly inclusive: boolean
  /** Its own limit, below what is asked for. */
  readonly cap: number
  readonly answer: (items: readonly Row[], isCut: boolean) => Page<Row>
}

const endpoints: readonly (readonly [string, Endpoint['answer']])[] = [
  ['says nothing', (items) => ({ items })],
  ['names its last cursor', (items) => ({ items, cursor: items.at(-1)?.at })],
  ['says whether there is more', (items, hasMore) => ({ items, hasMore })],
  ['says both', (items, hasMore) => ({ items, cursor: items.at(-1)?.at, hasMore })],
]

const LIMIT = 7

/** Three rows of each time, so that pages end within them. */
const rows = Array.from({ length: 60 }, (_, i): Row => ({ id: `r${i}`, at: Math.floor(i / 3) }))

/** The ids of all that is found until the source has no more, as bridges and pollers go through it. */
async function walk(all: readonly Row[], endpoint: Endpoint): Promise<string[]> {
  const source = defineSource<Row>({
    cursors: 'overlap',
    overlap: 1,
    key: ({ id }) => id,
    version: ({ at }) => at,
    cursorOf: ({ at }) => at,
    fetch: (cursor, { limit }) => {
      const since = Number(cursor ?? -1)
      const left = all.filter(({ at }) => at > since || (endpoint.inclusive && at === since))
      const items = left.slice(0, Math.min(limit, endpoint.cap))
      return endpoint.answer(items, items.length < left.length)
    },
  })
  const position = new SourcePosition(source.cursors)
  const found: string[] = []
  let from: Cursor | undefined
  for (let pages = 0; pages < 200; pages++) {
    const read = await readPage(source, position, from, {
      signal: new AbortController().signal,
      limit: LIMIT,
      timeoutMs: 10_000,
      maxDeletedShare: 0.5,
      returned: 'refuse',
    })
    for (const { change } of read.news) {
      position.take(change)
      found.push(change.key)
    }
    if (!read.more) return found
    from = read.end
  }
  throw new Error('it never comes to an end')
}

describe.each(endpoints)('a source with equal cursors at page borders that %s', (_, answer) => {
  it.each([
    ['answers what is newer', false, LIMIT],
    ['answers what is as old, too', true, LIMIT],
    ['answers what is newer, with a limit of its own', false, LIMIT - 2],
  ])('and %s is read without a gap, and nothing of it twice', async (__, inclusive, cap) => {
    const found = await walk(rows, { inclusive, cap, answer })
    expect(found.toSorted()).toEqual(rows.map(({ id }) => id).toSorted())
  })
})

it('a source that answers what is as old, too, and says that there is more is read below its own limit', async () => {
  const answer: Endpoint['answer'] = (items, hasMore) => ({ items, hasMore })
  const found = await walk(rows, { inclusive: true, cap: LIMIT - 2, answer })
  expect(found.toSorted()).toEqual(rows.map(({ id }) => id).toSorted())
})

describe('a page that is full of one cursor', () => {
  const tied = Array.from({ length: LIMIT + 2 }, (_, i): Row => ({ id: `r${i}`, at: 1 }))

  it.each(endpoints)('is an error and not a gap where the source %s', async (_, answer) => {
    await expect(walk(tied, { inclusive: false, cap: LIMIT, answer })).rejects.toThrow(
      'raise pageSize',
    )
  })
})

it('a source that names a cursor of its own making is asked from there', async () => {
  const asked: (Cursor | undefined)[] = []
  const source = defineSource<Row>({
    cursors: 'overlap',
    overlap: 1,
    key: ({ id }) => id,
    cursorOf: ({ at }) => at,
    fetch: (cursor) => {
      asked.push(cursor)
      return cursor === undefined
        ? { items: rows.slice(0, LIMIT), cursor: 2.5, hasMore: true }
        : { items: [], hasMore: false }
    },
  })
  const { end, more } = await readPage(source, new SourcePosition(source.cursors), undefined, {
    signal: new AbortController().signal,
    limit: LIMIT,
    timeoutMs: 10_000,
    maxDeletedShare: 0.5,
    returned: 'refuse',
  })
  expect({ end, more, asked }).toEqual({ end: 2.5, more: true, asked: [undefined] })
})

describe('an item that within one page looks again as it did', () => {
  interface Status {
    readonly flight: string
    readonly status: string
    readonly n?: number
  }

  const page = (statuses: readonly Status[], returned: 'refuse' | 'take', versions = false) =>
    readPage(
      defineSource<Status>({
        cursors: 'border',
        key: ({ flight }) => flight,
        ...(versions ? { version: ({ n = 0 }: Status) => n } : {}),
        fetch: () => ({ items: statuses, cursor: 'next' }),
      }),
      new SourcePosition({ kind: 'border' }),
      undefined,
      {
        signal: new AbortController().signal,
        limit: LIMIT,
        timeoutMs: 10_000,
        maxDeletedShare: 0.5,
        returned,
      },
    ).then(({ news }) => news.map(({ item }) => item?.status))

  const back = ['late', 'on time', 'late'].map(
    (status, n): Status => ({ flight: 'LX1', status, n }),
  )
  const plain = back.map(({ flight, status }): Status => ({ flight, status }))

  it('is handled by a poller, refused by a bridge that could not tell, and known by its version', async () => {
    expect(await page(plain, 'take')).toEqual(['late', 'on time', 'late'])
    await expect(page(plain, 'refuse')).rejects.toThrow('give version')
    expect(await page(back, 'refuse', true)).toEqual(['late', 'on time', 'late'])
  })

  it('is not one that only comes twice', async () => {
    const twice = plain.slice(0, 2).flatMap((one) => [one, one])
    expect(await page(twice, 'refuse')).toEqual(['late', 'on time'])
    expect(await page([...back, ...back.slice(0, 1)], 'refuse', true)).toHaveLength(3)
  })
})

it.each(endpoints)(
  'a poll that finds nothing new asks once where the source %s',
  async (_, answer) => {
    const few = rows.slice(0, 12)
    const source = defineSource<Row>({
      cursors: 'overlap',
      overlap: 10,
      key: ({ id }) => id,
      version: ({ at }) => at,
      cursorOf: ({ at }) => at,
      fetch: (cursor) =>
        answer(
          few.filter(({ at }) => at > Number(cursor ?? -1)),
          false,
        ),
    })
    const position = new SourcePosition(source.cursors)
    for (const row of few) position.take(source.changeOf(row))
    const { news, more } = await readPage(source, position, position.from, {
      signal: new AbortController().signal,
      limit: 100,
      timeoutMs: 10_000,
      maxDeletedShare: 0.5,
      returned: 'refuse',
    })
    expect({ news, more }).toEqual({ news: [], more: false })
  },
)
