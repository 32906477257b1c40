import { describe, expect, it } from 'vitest'
import { defineStream, type EventStream } from '@millrace/runtime'
import { waitFor } from '@millrace/testkit'
import {
  createSnapshot,
  nodeListener,
  type Snapshot,
  snapshotHandler,
  type SnapshotHandlerOptions,
} from '@millrace/poll-adapter'
import { range } from '../feed/feed-bed.ts'
import { useRedis } from '../open-millrace.ts'
import { listen } from './http-client.ts'

const bed = useRedis()

interface Flight {
  readonly flight: string
  readonly gate: string
}

interface Served {
  readonly base: string
  readonly snapshot: Snapshot<Flight>
  readonly publish: (flight: string, gate: string) => Promise<void>
}

async function serve(options: SnapshotHandlerOptions<Flight> = {}): Promise<Served> {
  const millrace = await bed.open()
  const stream: EventStream<Flight, Flight> = defineStream<Flight>(bed.stream().name, {
    key: ({ flight }) => flight,
  })
  const snapshot = createSnapshot(millrace, stream, { latencyBudgetMs: 0 })
  bed.onClose(() => snapshot.close())
  const publish = async (flight: string, gate: string): Promise<void> => {
    await millrace.publish(stream, { flight, gate })
    await waitFor(async () => (await snapshot.get(flight))?.value.gate === gate, {
      describe: 'the snapshot to have it',
    })
  }
  const base = await listen(bed, nodeListener(snapshotHandler(snapshot, options)))
  return { base, snapshot, publish }
}

describe('A snapshot over HTTP', () => {
  it('answers 304 for as long as a value stays the same, and no longer', async () => {
    const { base, publish } = await serve({ path: '/flights' })
    await publish('LH 400/a', 'A1')
    const url = `${base}/flights/${encodeURIComponent('LH 400/a')}`
    const first = await fetch(url)
    expect(await first.json()).toEqual({ flight: 'LH 400/a', gate: 'A1' })
    const etag = first.headers.get('etag') ?? ''
    const headers = { 'if-none-match': etag }
    expect((await fetch(url, { headers })).status).toBe(304)
    await publish('other', 'A1')
    expect((await fetch(url, { headers })).status).toBe(304)
    await publish('LH 400/a', 'A2')
    expect((await fetch(url, { headers })).status).toBe(200)
    // Back to what it was: the ETag is of the content.
    await publish('LH 400/a', 'A1')
    expect((await fetch(url, { headers })).status).toBe(304)
  })

  it('waits for a change of what the client has', async () => {
    const { base, snapshot, publish } = await serve()
    await publish('F1', 'A1')
    const etag = (await fetch(`${base}/F1`)).headers.get('etag') ?? ''
    const headers = { 'if-none-match': etag, prefer: 'wait=20' }
    const waiting = fetch(`${base}/F1`, { headers })
    await waitFor(() => snapshot.waiting === 1, { describe: 'the request to wait' })
    await publish('F1', 'A2')
    const response = await waiting
    expect([response.status, response.headers.get('preference-applied')]).toEqual([200, 'wait=20'])
    expect(await response.json()).toEqual({ flight: 'F1', gate: 'A2' })
    // Without an ETag there is nothing to compare, so there is nothing to wait for.
    expect((await fetch(`${base}/F1`, { headers: { prefer: 'wait=20' } })).status).toBe(200)
    const unchanged = await fetch(`${base}/F1?wait=0.02`, {
      headers: { 'if-none-match': response.headers.get('etag') ?? '' },
    })
    expect(unchanged.status).toBe(304)
  })

  it('lists page by page, and waits for a change of a page', async () => {
    const { base, snapshot, publish } = await serve()
    for (const n of range(5)) await publish(`F${n}`, 'A')
    const keys: string[] = []
    let url = `${base}/?limit=2&prefix=F`
    while (url !== '') {
      const response = await fetch(url)
      const page = (await response.json()) as {
        readonly items: readonly { readonly key: string }[]
      }
      keys.push(...page.items.map(({ key }) => key))
      url = /<([^>]+)>; rel="next"/.exec(response.headers.get('link') ?? '')?.[1] ?? ''
    }
    expect(keys).toEqual(range(5).map((n) => `F${n}`))
    const etag = (await fetch(`${base}/?limit=2`)).headers.get('etag') ?? ''
    const waiting = fetch(`${base}/?limit=2&wait=20`, { headers: { 'if-none-match': etag } })
    await waitFor(() => snapshot.waiting === 1, { describe: 'the request to wait' })
    // Of another page: this one still is what it was.
    await publish('F4', 'B')
    await waitFor(() => snapshot.waiting === 1, { describe: 'the request to wait again' })
    await publish('F0', 'B')
    expect((await waiting).status).toBe(200)
  })

  it.each([
    ['/none', 404, 'NOT_FOUND'],
    ['/?limit=0', 400, 'REQUEST_INVALID'],
    ['/?after=a&after=b', 400, 'REQUEST_INVALID'],
    ['/%E0%A4%A', 400, 'REQUEST_INVALID'],
    ['/F1?wait=soon', 400, 'REQUEST_INVALID'],
  ])('answers %s with a problem document', async (path, status, code) => {
    const { base } = await serve()
    const response = await fetch(`${base}${path}`)
    expect([response.status, response.headers.get('content-type')]).toEqual([
      status,
      'application/problem+json',
    ])
    expect(await response.json()).toMatchObject({ status, code })
  })

  it('answers those who wait with what they have when it shuts down', async () => {
    const { base, snapshot, publish } = await serve()
    await publish('F1', 'A1')
    const etag = (await fetch(`${base}/F1`)).headers.get('etag') ?? ''
    const waiting = fetch(`${base}/F1?wait=20`, { headers: { 'if-none-match': etag } })
    await waitFor(() => snapshot.waiting === 1, { describe: 'the request to wait' })
    await snapshot.close()
    expect((await waiting).status).toBe(304)
    expect((await fetch(`${base}/F1`)).status).toBe(503)
  })
})
