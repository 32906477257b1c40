import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import {
  type BridgeOptions,
  createBridge,
  defineSource,
  httpSnapshotSource,
  httpSource,
  type Page,
  pollChannels,
  sqlSource,
} from '@millrace/poll-adapter'
import { Bridge } from '../../src/bridge/bridge.ts'
import { type Clock, systemClock } from '../../src/lifecycle/clock.ts'
import { type Flight, FlightSource } from '../flight-source.ts'
import { useRedis } from '../open-millrace.ts'

const bed = useRedis()
const quick = { minIntervalMs: 5, maxIntervalMs: 20 }

interface Row {
  readonly id: string
  readonly at: number
  readonly version?: number
}

function until(describeIt: string, condition: () => Promise<boolean>): Promise<boolean> {
  return waitFor(condition, { describe: describeIt })
}

describe('a bridge over a function', () => {
  it('puts each change into the stream once, in order, with its cursor and its identity', async () => {
    const rows: Row[] = Array.from({ length: 1_234 }, (_, i) => ({
      id: `a${i % 10}`,
      at: i + 1,
      version: i,
    }))
    const stream = bed.stream<Row>()
    const bridge = createBridge(await bed.open(), stream, {
      name: 'rows',
      source: defineSource<Row>({
        cursors: 'exact',
        key: (row) => row.id,
        version: (row) => row.version ?? 0,
        cursorOf: (row) => row.at,
        fetch: (since, { limit }) => ({
          items: rows.filter((row) => row.at > Number(since ?? 0)).slice(0, limit),
        }),
      }),
      ...quick,
    }).start()
    await until('the first rows', async () => (await bed.redis.xlen(bed.key(stream))) === 1_234)
    rows.push({ id: 'a0', at: 2_000, version: 9_999 })
    await until('one more', async () => (await bed.redis.xlen(bed.key(stream))) === 1_235)
    await bridge.close()
    const stored = await bed.stored<Row>(stream)
    expect(stored.map(({ data }) => data)).toEqual(rows)
    expect(stored.at(-1)?.fields).toMatchObject({
      key: 'a0',
      'h:change': 'a0@9999',
      'h:cursor': '2000',
    })
  })

  it('waits longer and longer while nothing comes, and less after news', async () => {
    const pauses: number[] = []
    const clock: Clock = {
      ...systemClock,
      after: (ms, callback) => {
        pauses.push(ms)
        return systemClock.after(ms, callback)
      },
    }
    const rows: Row[] = []
    const options: BridgeOptions<Row> = {
      name: 'rows',
      source: defineSource<Row>({
        cursors: 'exact',
        key: (row) => row.id,
        cursorOf: (row) => row.at,
        fetch: (since) => ({ items: rows.filter((row) => row.at > Number(since ?? 0)) }),
      }),
      minIntervalMs: 1,
      maxIntervalMs: 60_000,
    }
    const bridge = new Bridge(await bed.open(), bed.stream<Row>(), options, clock)
    bed.onClose(() => bridge.close())
    bridge.start()
    await waitFor(() => pauses.length >= 6, { describe: 'six pauses' })
    expect(pauses.slice(0, 4)).toEqual([10, 15, 22.5, 33.75])
    rows.push(rowOf('a', 1))
    await waitFor(() => pauses.includes(1), { describe: 'a short pause after news' })
  })

  it('goes on with opaque cursors at page borders, also when a page came half way', async () => {
    const pages = new Map<string, Page<Row>>([
      ['', { items: [rowOf('a', 1), rowOf('b', 2)], cursor: 'p1', hasMore: true }],
      ['p1', { items: [rowOf('c', 3)], cursor: 'p2', hasMore: false }],
      ['p2', { items: [] }],
    ])
    const source = defineSource<Row>({
      cursors: 'border',
      key: (one) => one.id,
      version: (one) => one.at,
      fetch: (cursor) => pages.get(String(cursor ?? '')) ?? { items: [] },
    })
    const stream = bed.stream<Row>()
    const millrace = await bed.open()
    const first = createBridge(millrace, stream, { name: 'pages', source, ...quick }).start()
    await until('three rows', async () => (await bed.redis.xlen(bed.key(stream))) === 3)
    await first.close()
    // The last page has grown meanwhile: what was there before is known.
    pages.set('p2', { items: [rowOf('d', 4)] })
    const second = createBridge(millrace, stream, { name: 'pages', source, ...quick }).start()
    await until('a fourth row', async () => (await bed.redis.xlen(bed.key(stream))) === 4)
    pages.set('p2', { items: [rowOf('d', 4), rowOf('e', 5)], cursor: 'p3' })
    await until('a fifth row', async () => (await bed.redis.xlen(bed.key(stream))) === 5)
    expect((await second.look()).cursor).toBe('p3')
    await second.close()
    const stored = await bed.stored<Row>(stream)
    expect(stored.map(({ data }) => data.id)).toEqual(['a', 'b', 'c', 'd', 'e'])
    expect(stored.map(({ fields }) => fields['h:cursor'])).toEqual([
      undefined,
      '"p1"',
      '"p2"',
      undefined,
      '"p3"',
    ])
  })

  it('tells of a source that fails, and goes on when it is well again', async () => {
    let broken = true
    const failures = bed.gather(pollChannels.bridgeFailed)
    const stream = bed.stream<Row>()
    createBridge(await bed.open(), stream, {
      name: 'rows',
      source: defineSource<Row>({
        cursors: 'exact',
        key: (one) => one.id,
        cursorOf: (one) => one.at,
        fetch: (since) => {
          if (broken) throw new Error('planted')
          return { items: since === undefined ? [rowOf('a', 1)] : [] }
        },
      }),
      ...quick,
    }).start()
    await waitFor(() => failures.length >= 3, { describe: 'three failures' })
    expect(failures[0]?.error).toMatchObject({
      code: 'SOURCE_FAILED',
      message: 'The source failed: planted',
    })
    broken = false
    await until('the row', async () => (await bed.redis.xlen(bed.key(stream))) === 1)
  })

  it('refuses cursors that do not rise where they were said to', async () => {
    const failures = bed.gather(pollChannels.bridgeFailed)
    const stream = bed.stream<Row>()
    createBridge(await bed.open(), stream, {
      name: 'rows',
      source: defineSource<Row>({
        cursors: 'exact',
        key: (one) => one.id,
        cursorOf: (one) => one.at,
        fetch: () => ({ items: [rowOf('a', 2), rowOf('b', 1)] }),
      }),
      ...quick,
    }).start()
    await waitFor(() => failures.length > 0, { describe: 'the refusal' })
    expect(failures[0]?.error.message).toContain('do not rise')
    expect(await bed.redis.exists(bed.key(stream))).toBe(0)
  })

  it('leaves out what cannot be stored, if its owner says so', async () => {
    const failures = bed.gather(pollChannels.bridgeFailed)
    const stream = bed.stream<unknown>()
    createBridge<Row, unknown>(await bed.open(), stream, {
      name: 'rows',
      source: defineSource<Row>({
        cursors: 'exact',
        key: (one) => one.id,
        cursorOf: (one) => one.at,
        fetch: (since) => ({
          items: [1, 2, 3].filter((n) => n > Number(since ?? 0)).map((n) => rowOf(`r${n}`, n)),
        }),
      }),
      toEvent: (one) => ({ data: one?.at === 2 ? 1n : one }),
      onInvalid: 'skip',
      ...quick,
    }).start()
    await until('the other rows', async () => (await bed.redis.xlen(bed.key(stream))) === 2)
    expect(failures[0]?.error).toMatchObject({ code: 'PAYLOAD_INVALID' })
  })
})

describe('a bridge over SQL', () => {
  it('finds rows that commit late, within the overlap, and repeats none', async () => {
    const db = new DatabaseSync(':memory:')
    bed.onClose(() => {
      db.close()
    })
    db.exec('CREATE TABLE rows (id TEXT PRIMARY KEY, at INTEGER)')
    const insert = (id: string, at: number): void => {
      db.prepare('INSERT INTO rows VALUES (?, ?)').run(id, at)
    }
    const stream = bed.stream<Row>()
    createBridge(await bed.open(), stream, {
      name: 'rows',
      source: sqlSource<Row>({
        cursors: 'overlap',
        overlap: 100,
        key: ({ id }) => id,
        version: ({ at }) => at,
        cursorOf: ({ at }) => at,
        query: (sql, params) =>
          db
            .prepare(sql)
            .all(...params.map(Number))
            .map(({ id, at }) => ({ id: String(id), at: Number(at) })),
        sql: 'SELECT id, at FROM rows WHERE at > ? ORDER BY at, id LIMIT ?',
        params: (cursor, limit) => [cursor ?? -1, limit],
      }),
      pageSize: 7,
      ...quick,
    }).start()
    const grows = (to: number): Promise<boolean> =>
      until(`${to} rows`, async () => (await bed.redis.xlen(bed.key(stream))) === to)
    // Six rows of one time lie across the border of a page.
    for (let i = 0; i < 5; i++) insert(`early-${i}`, 1_000 + i)
    for (let i = 0; i < 6; i++) insert(`tie-${i}`, 1_050)
    await grows(11)
    insert('late', 990)
    insert('new', 1_060)
    await grows(13)
    insert('later', 1_059)
    await grows(14)
    const stored = await bed.stored<Row>(stream)
    expect(new Set(stored.map(({ data }) => data.id)).size).toBe(14)
  })

  it('says when more rows have one cursor than a page holds', async () => {
    const failures = bed.gather(pollChannels.bridgeFailed)
    createBridge(await bed.open(), bed.stream<Row>(), {
      name: 'rows',
      source: sqlSource<Row>({
        cursors: 'overlap',
        overlap: 1,
        key: ({ id }) => id,
        cursorOf: ({ at }) => at,
        query: () => ['a', 'b', 'c'].map((id) => rowOf(id, 1)),
        sql: '',
        params: () => [],
      }),
      pageSize: 3,
      ...quick,
    }).start()
    await waitFor(() => failures.length > 0, { describe: 'the failure' })
    expect(failures[0]?.error.message).toContain('raise pageSize')
  })
})

describe('a bridge over HTTP', () => {
  it('follows a cursor', async () => {
    await using source = await new FlightSource().listen()
    for (let i = 0; i < 25; i++) source.change(`LX${i % 5}`)
    const stream = bed.stream<Flight>()
    const bridge = createBridge(await bed.open(), stream, {
      name: 'flights',
      source: httpSource<Flight>({
        url: `${source.url}/flights`,
        cursors: 'exact',
        key: ({ flight }) => flight,
        version: ({ version }) => version,
        cursorOf: ({ seq }) => seq,
      }),
      pageSize: 10,
      ...quick,
    }).start()
    await until('all flights', async () => (await bed.redis.xlen(bed.key(stream))) === 25)
    await bridge.close()
    expect((await bed.stored<Flight>(stream)).map(({ data }) => data)).toEqual(source.all())
  })

  it('finds by their contents what has changed and what is gone, and asks with the tag', async () => {
    await using source = await new FlightSource().listen()
    for (let i = 0; i < 12; i++) source.change(`LX${i}`)
    const stream = bed.stream<Flight | null>()
    const bridge = createBridge<Flight, Flight | null>(await bed.open(), stream, {
      name: 'flights',
      source: httpSnapshotSource<Flight>({ url: `${source.url}/all`, key: ({ flight }) => flight }),
      ...quick,
    }).start()
    const grows = (to: number): Promise<boolean> =>
      until(`${to} events`, async () => (await bed.redis.xlen(bed.key(stream))) === to)
    await grows(12)
    await waitFor(() => source.notModified >= 2, { describe: 'answers without contents' })
    source.change('LX3')
    await grows(13)
    source.remove('LX4')
    await grows(14)
    await bridge.close()
    const [changed, gone] = (await bed.stored<Flight | null>(stream)).slice(-2)
    expect(changed?.data).toMatchObject({ flight: 'LX3', version: 2 })
    expect(gone).toMatchObject({ data: null, fields: { key: 'LX4', 'h:deleted': '1' } })
    expect(await bed.redis.hlen(`${bed.key(stream)}:x:poll:bridge:flights:items`)).toBe(11)
  })

  it('does not take an empty answer for the end of everything', async () => {
    await using source = await new FlightSource().listen()
    for (let i = 0; i < 12; i++) source.change(`LX${i}`)
    const failures = bed.gather(pollChannels.bridgeFailed)
    const stream = bed.stream<Flight | null>()
    createBridge<Flight, Flight | null>(await bed.open(), stream, {
      name: 'flights',
      source: httpSnapshotSource<Flight>({ url: `${source.url}/all`, key: ({ flight }) => flight }),
      ...quick,
    }).start()
    await until('all flights', async () => (await bed.redis.xlen(bed.key(stream))) === 12)
    source.distort = () => []
    await waitFor(() => failures.length > 0, { describe: 'the refusal' })
    expect(failures[0]?.error.message).toContain('12 of 12 items are gone at once')
    expect(await bed.redis.xlen(bed.key(stream))).toBe(12)
  })
})

it('refuses bad options all at once', async () => {
  const millrace = await bed.open()
  expect(() => defineSource({ cursors: 'overlap', key: () => '' } as never)).toThrow(
    'fetch is missing; cursorOf is missing; overlap is missing',
  )
  const source = defineSource({ cursors: 'snapshot', key: () => '', fetch: () => ({ items: [] }) })
  expect(() =>
    createBridge(millrace, bed.stream(), {
      name: 'a b',
      source,
      pageSize: 0,
      minIntervalMs: 9_999,
      maxIntervalMs: 1,
    }),
  ).toThrow(/name must be .*; pageSize must be .*; minIntervalMs must not exceed/)
})

function rowOf(id: string, at: number): Row {
  return { id, at }
}
