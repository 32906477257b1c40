import { describe, expect, it } from 'vitest'
import { defineStream, type EventStream, type Millrace } from '@millrace/runtime'
import { waitFor } from '@millrace/testkit'
import {
  changeHeaders,
  createSnapshot,
  isPollAdapterError,
  pollChannels,
  type PollErrorCode,
  type Snapshot,
  type SnapshotOptions,
} from '@millrace/poll-adapter'
import { range } from '../feed/feed-bed.ts'
import { useRedis } from '../open-millrace.ts'

const bed = useRedis()

interface Flight {
  readonly flight: string
  readonly gate: string | null
}
type Flights = EventStream<Flight, Flight>

function flights(options: { readonly maxLength?: number } = {}): Flights {
  return defineStream<Flight>(bed.stream<Flight>().name, {
    key: ({ flight }) => flight,
    ...(options.maxLength === undefined ? {} : { retention: { maxLength: options.maxLength } }),
  })
}

function open(
  millrace: Millrace,
  stream: Flights,
  options: SnapshotOptions<Flight, Flight> = {},
): Snapshot<Flight, Flight> {
  const snapshot = createSnapshot(millrace, stream, { latencyBudgetMs: 0, ...options })
  bed.onClose(() => snapshot.close())
  return snapshot
}

const is =
  (code: PollErrorCode) =>
  (error: unknown): boolean =>
    isPollAdapterError(error, code)

async function contentOf(snapshot: Snapshot<Flight, Flight>): Promise<(string | null)[][]> {
  const { entries } = await snapshot.list()
  return entries.map(({ key, value }) => [key, value.gate])
}

describe('A snapshot', () => {
  it('has the latest value of each key, and follows the stream', async () => {
    const millrace = await bed.open()
    const stream = flights()
    await millrace.publish(
      stream,
      range(500).map((n) => ({ flight: `F${n % 5}`, gate: `A${n}` })),
    )
    const snapshot = open(millrace, stream)
    await snapshot.ready()
    expect(await contentOf(snapshot)).toEqual(range(5).map((n) => [`F${n}`, `A${495 + n}`]))
    const before = await snapshot.get('F1')
    const changing = snapshot.waitForChange({ key: 'F1', etag: before?.etag, waitMs: 20_000 })
    await waitFor(() => snapshot.waiting === 1, { describe: 'the wait' })
    await millrace.publish(stream, { flight: 'F2', gate: 'B0' })
    const { id } = await millrace.publish(stream, { flight: 'F1', gate: 'B1' })
    expect(await changing).toMatchObject({
      changed: true,
      entry: { key: 'F1', value: { flight: 'F1', gate: 'B1' }, version: id },
    })
    expect(snapshot.complete).toBe(true)
  })

  it('forgets keys that are deleted, by a null payload or by the header of a bridge', async () => {
    const millrace = await bed.open()
    const stream = flights()
    await millrace.publish(
      stream,
      range(3).map((n) => ({ flight: `F${n}`, gate: 'A' })),
    )
    const snapshot = open(millrace, stream)
    await snapshot.ready()
    const { etag } = await snapshot.list()
    await bed.redis.xadd(bed.key(stream), '*', 'data', 'null', 'key', 'F0')
    await millrace.publish(
      stream,
      { flight: 'F1', gate: 'A' },
      { headers: { [changeHeaders.change]: 'F1@7-', [changeHeaders.deleted]: '1' } },
    )
    await waitFor(async () => (await contentOf(snapshot)).length === 1, {
      describe: 'the deletions',
    })
    expect(await snapshot.get('F0')).toBeUndefined()
    expect((await snapshot.list()).etag).not.toBe(etag)
    // A deleted key that is waited for is told when it comes back.
    const back = snapshot.waitForChange({ key: 'F0', etag: undefined, waitMs: 20_000 })
    await waitFor(() => snapshot.waiting === 1, { describe: 'the wait' })
    await millrace.publish(stream, { flight: 'F0', gate: 'C' })
    expect((await back).entry?.value.gate).toBe('C')
  })

  it('is the same, ETags included, in every process and after beginning from a stored one', async () => {
    const millrace = await bed.open()
    const stream = flights()
    await millrace.publish(
      stream,
      range(20).map((n) => ({ flight: `F${n}`, gate: 'A' })),
    )
    const first = open(millrace, stream)
    const state = JSON.parse(JSON.stringify(await first.state())) as Awaited<
      ReturnType<typeof first.state>
    >
    await millrace.publish(stream, { flight: 'F3', gate: 'B' })
    const stored = open(await bed.open(), stream, { load: () => Promise.resolve(state) })
    const fresh = open(await bed.open(), stream)
    await waitFor(async () => (await first.get('F3'))?.value.gate === 'B', {
      describe: 'the change',
    })
    const { etag, entries } = await first.list()
    for (const other of [stored, fresh]) {
      await waitFor(async () => (await other.get('F3'))?.value.gate === 'B', {
        describe: 'the change',
      })
      const list = await other.list()
      expect(list.etag).toBe(etag)
      expect(list.entries.map((one) => [one.key, one.etag])).toEqual(
        entries.map((one) => [one.key, one.etag]),
      )
    }
  })

  it('wakes nobody for an event that changes nothing', async () => {
    const millrace = await bed.open()
    const stream = flights()
    await millrace.publish(stream, { flight: 'F1', gate: 'A' })
    const snapshot = open(millrace, stream)
    const before = await snapshot.get('F1')
    await millrace.publish(stream, { flight: 'F1', gate: 'A' })
    await millrace.publish(stream, { flight: 'F2', gate: 'A' })
    await waitFor(async () => (await snapshot.get('F2')) !== undefined, { describe: 'both events' })
    expect(await snapshot.get('F1')).toEqual(before)
    const waited = snapshot.waitForChange({ key: 'F1', etag: before?.etag, waitMs: 20 })
    expect(await waited).toMatchObject({ changed: false, etag: before?.etag })
  })

  it('refuses to be larger than it may, for as long as it lives', async () => {
    const millrace = await bed.open()
    const stream = flights()
    await millrace.publish(
      stream,
      range(3).map((n) => ({ flight: `F${n}`, gate: 'A' })),
    )
    const snapshot = open(millrace, stream, { maxKeys: 3 })
    await snapshot.ready()
    await millrace.publish(stream, { flight: 'F3', gate: 'A' })
    const refused = snapshot.waitForChange({ etag: (await snapshot.list()).etag, waitMs: 20_000 })
    await expect(refused).rejects.toSatisfy(is('SNAPSHOT_TOO_LARGE'))
    await expect(snapshot.get('F0')).rejects.toSatisfy(is('SNAPSHOT_TOO_LARGE'))
    await expect(snapshot.get('F0')).rejects.toThrow(/more than 3 keys/)
  })

  it('answers everyone who waits when it closes', async () => {
    const snapshot = open(await bed.open(), flights())
    const { etag } = await snapshot.list()
    const waiting = snapshot.waitForChange({ etag, waitMs: 20_000 })
    await waitFor(() => snapshot.waiting === 1, { describe: 'the wait' })
    await snapshot.close()
    expect(await waiting).toEqual({ changed: false, etag, entry: undefined })
    await expect(snapshot.get('F1')).rejects.toSatisfy(is('CLOSED'))
  })

  it('ends a wait whose client goes away', async () => {
    const snapshot = open(await bed.open(), flights())
    const { etag } = await snapshot.list()
    const client = new AbortController()
    const waiting = snapshot.waitForChange({ etag, waitMs: 20_000, signal: client.signal })
    await waitFor(() => snapshot.waiting === 1, { describe: 'the wait' })
    client.abort()
    await expect(waiting).rejects.toSatisfy(is('ABORTED'))
    expect(snapshot.waiting).toBe(0)
  })

  it('tries again while its state cannot be loaded, and says why', async () => {
    const millrace = await bed.open()
    let calls = 0
    const snapshot = open(millrace, flights(), {
      load: () => {
        calls++
        return calls === 1
          ? Promise.reject(new Error('the source is away'))
          : Promise.resolve({ entries: [{ key: 'F1', value: { flight: 'F1', gate: 'A' } }] })
      },
    })
    await expect(snapshot.ready()).rejects.toThrow('the source is away')
    await waitFor(
      async () => {
        const entry = await snapshot.get('F1').catch(() => undefined)
        return entry?.version === ''
      },
      { describe: 'the second try' },
    )
  })
})

describe('A stream that has lost its beginning', () => {
  async function trimmed(millrace: Millrace): Promise<Flights> {
    const stream = flights({ maxLength: 100 })
    let n = 0
    await waitFor(
      async () => {
        await millrace.publish(
          stream,
          range(200).map(() => ({ flight: `F${n++}`, gate: 'A' })),
        )
        return (await millrace.inspect(stream)).trimmed !== ''
      },
      { describe: 'retention to remove events' },
    )
    return stream
  }

  it('is refused, unless the owner takes what there is, or loads the rest', async () => {
    const millrace = await bed.open()
    const stream = await trimmed(millrace)
    await expect(open(millrace, stream).list()).rejects.toSatisfy(is('SNAPSHOT_INCOMPLETE'))
    const served = open(millrace, stream, { incomplete: 'serve' })
    expect((await served.list()).entries.length).toBeGreaterThan(0)
    expect(served.complete).toBe(false)
    const loaded = open(millrace, stream, {
      load: () =>
        Promise.resolve({ entries: [{ key: 'F0', value: { flight: 'F0', gate: 'old' } }] }),
    })
    expect((await loaded.get('F0'))?.value.gate).toBe('old')
    expect(loaded.complete).toBe(true)
  })
})

describe('A stream that was created anew', () => {
  it('is loaded anew; without a loader the snapshot refuses rather than to forget in silence', async () => {
    const millrace = await bed.open()
    const stream = flights()
    await millrace.publish(stream, { flight: 'F1', gate: 'A' })
    const changes = bed.gather(pollChannels.snapshotChanged)
    const bare = open(millrace, stream, { name: 'bare' })
    const loading = open(millrace, stream, {
      name: 'loading',
      load: () => Promise.resolve({ entries: [{ key: 'F0', value: { flight: 'F0', gate: 'X' } }] }),
    })
    expect(await contentOf(bare)).toEqual([['F1', 'A']])
    expect(await contentOf(loading)).toEqual([
      ['F0', 'X'],
      ['F1', 'A'],
    ])
    await bed.redis.flushall()
    await millrace.publish(stream, { flight: 'F2', gate: 'B' })
    await waitFor(async () => (await contentOf(loading)).flat().join() === 'F0,X,F2,B', {
      describe: 'the snapshot to begin anew',
    })
    await waitFor(() => bare.list().then(() => false, is('SNAPSHOT_INCOMPLETE')), {
      describe: 'the refusal',
    })
    const told = (wanted: string): boolean =>
      changes.some(({ snapshot, change }) => `${snapshot} ${change}` === wanted)
    await waitFor(() => ['loading restarted', 'bare restarted', 'bare failed'].every(told), {
      describe: 'both to say so',
    })
  })
})
