import express from 'express'
import Fastify from 'fastify'
import { describe, expect, it } from 'vitest'
import { waitFor } from '@millrace/testkit'
import { feedHandler, nodeListener, timeCursor } from '@millrace/poll-adapter'
import { append, openFeed, range, type Reading } from '../feed/feed-bed.ts'
import { useRedis } from '../open-millrace.ts'
import { listen, rawGet } from './http-client.ts'

const bed = useRedis()

interface Answer {
  readonly items: readonly Reading[]
  readonly cursor: string
  readonly hasMore: boolean
}

async function json<T>(response: Response): Promise<T> {
  return (await response.json()) as T
}

describe('A feed over HTTP', () => {
  it('is walked by its links, page by page', async () => {
    const stream = bed.stream<Reading>()
    await append(
      bed,
      stream,
      range(7).map((n) => ({ n })),
    )
    const feed = openFeed(bed, await bed.open(), stream)
    const base = await listen(bed, nodeListener(feedHandler(feed)))
    const seen: number[] = []
    let url = `${base}/changes?limit=3&mode=old`
    for (;;) {
      const response = await fetch(url)
      expect(response.status).toBe(200)
      expect(response.headers.get('content-type')).toBe('application/json')
      const page = await json<Answer>(response)
      seen.push(...page.items.map(({ n }) => n))
      const link = /<([^>]+)>; rel="next"/.exec(response.headers.get('link') ?? '')?.[1] ?? ''
      expect(new URL(link).searchParams.get('mode')).toBe('old')
      expect(new URL(link).searchParams.get('since')).toBe(page.cursor)
      url = link
      if (!page.hasMore) break
    }
    expect(seen).toEqual(range(7))
  })

  it('looks like the endpoint that it replaces', async () => {
    const stream = bed.stream<Reading>()
    await append(bed, stream, [
      { n: 1, id: '1700000000123-0' },
      { n: 2, id: '1700000000456-0' },
    ])
    const feed = openFeed(bed, await bed.open(), stream, { cursor: timeCursor({ form: 'iso' }) })
    const handler = feedHandler(feed, {
      parameters: { since: 'updated_since', limit: 'per_page', wait: 'timeout' },
      waitUnit: 'ms',
      envelope: ({ items, cursor, hasMore }) => ({
        results: items,
        last: cursor,
        pending: hasMore,
      }),
      headers: ({ cursor }) => ({ 'x-next-cursor': String(cursor) }),
      pollIntervalS: 5,
      publicUrl: 'https://api.example.com/v1/flights',
    })
    const base = await listen(bed, nodeListener(handler))
    const url = `${base}/?updated_since=2023-11-14T22:13:20.123Z&per_page=1&timeout=10`
    const response = await fetch(url)
    expect(await response.json()).toEqual({
      results: [{ n: 2 }],
      last: '2023-11-14T22:13:20.456000001Z',
      pending: false,
    })
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'x-next-cursor': '2023-11-14T22:13:20.456000001Z',
      'x-poll-interval': '5',
      link: '<https://api.example.com/v1/flights?updated_since=2023-11-14T22%3A13%3A20.456000001Z&per_page=1&timeout=10>; rel="next"',
    })
    // A plus sign that was not escaped arrives as a blank.
    const offset = await fetch(`${base}/?updated_since=2023-11-14T23:13:20.123+01:00`)
    expect(await offset.json()).toMatchObject({ results: [{ n: 2 }] })
  })

  it('answers 304 to a client that has the page already', async () => {
    const stream = bed.stream<Reading>()
    await append(bed, stream, [{ n: 1 }])
    const feed = openFeed(bed, await bed.open(), stream)
    const base = await listen(bed, nodeListener(feedHandler(feed)))
    const etag = (await fetch(base)).headers.get('etag') ?? ''
    expect(etag).toMatch(/^"[\w-]{27}"$/)
    for (const known of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
      const again = await fetch(base, { headers: { 'if-none-match': known } })
      expect([again.status, again.headers.get('etag'), await again.text()]).toEqual([304, etag, ''])
    }
    const other = await fetch(base, { headers: { 'if-none-match': '"other"' } })
    expect(other.status).toBe(200)
    const head = await fetch(base, { method: 'HEAD' })
    expect([head.status, head.headers.get('etag'), await head.text()]).toEqual([200, etag, ''])
  })

  it.each([
    ['Prefer: wait', '', { prefer: 'return=minimal, wait=10' }, 'wait=10'],
    ['Prefer: wait, lowered to what is allowed', '', { prefer: 'wait=9999' }, 'wait=20'],
    ['a parameter, which goes first', '&wait=10', { prefer: 'wait=3' }, null],
  ])('waits as it is asked to by %s', async (_, query, headers, applied) => {
    const stream = bed.stream<Reading>()
    const millrace = await bed.open()
    const feed = openFeed(bed, millrace, stream)
    const handler = feedHandler(feed, { maxWaitMs: 20_000 })
    const base = await listen(bed, nodeListener(handler))
    const { cursor } = await json<Answer>(await fetch(base))
    const waiting = fetch(`${base}?since=${cursor}${query}`, { headers })
    await waitFor(() => feed.waiting === 1, { describe: 'the request to wait' })
    await millrace.publish(stream, { n: 1 })
    const response = await waiting
    expect(response.headers.get('preference-applied')).toBe(applied)
    expect(await response.json()).toMatchObject({ items: [{ n: 1 }] })
  })

  it('makes one answer for all who wait at one place, and gives it to all before anything else', async () => {
    const POLLERS = 100
    const stream = bed.stream<Reading>()
    const millrace = await bed.open()
    const feed = openFeed(bed, millrace, stream)
    let made = 0
    const handler = feedHandler(feed, {
      envelope: (page) => {
        made += 1
        return page
      },
    })
    let ended = 0
    const mounted = nodeListener(handler)
    const base = await listen(bed, (request, response) => {
      response.once('finish', () => (ended += 1))
      mounted(request, response)
    })
    const waiting = range(POLLERS).map(() => fetch(`${base}?wait=20`))
    await waitFor(() => feed.waiting === POLLERS, { describe: 'all to wait' })
    await millrace.publish(stream, { n: 1 })
    // The event loop has not come round to reading anything before all were answered.
    await Promise.race(waiting)
    expect(ended).toBe(POLLERS)
    const answers = await Promise.all(waiting)
    for (const answer of answers) expect(await answer.json()).toMatchObject({ items: [{ n: 1 }] })
    expect(new Set(answers.map(({ headers }) => headers.get('etag'))).size).toBe(1)
    expect(made).toBe(1)
  })

  it('lets go of a wait when its client goes away', async () => {
    const feed = openFeed(bed, await bed.open(), bed.stream<Reading>())
    const base = await listen(bed, nodeListener(feedHandler(feed)))
    const client = new AbortController()
    const waiting = fetch(`${base}?wait=20`, { signal: client.signal })
    await waitFor(() => feed.waiting === 1, { describe: 'the request to wait' })
    client.abort()
    await expect(waiting).rejects.toThrow(/abort/)
    await waitFor(() => feed.waiting === 0, { describe: 'the wait to end' })
  })

  it('answers waiting clients when it shuts down, and asks later ones to come back', async () => {
    const feed = openFeed(bed, await bed.open(), bed.stream<Reading>())
    const base = await listen(bed, nodeListener(feedHandler(feed)))
    const waiting = fetch(`${base}?wait=20`)
    await waitFor(() => feed.waiting === 1, { describe: 'the request to wait' })
    await feed.close()
    expect(await (await waiting).json()).toEqual({ items: [], cursor: '.0-0', hasMore: false })
    const later = await fetch(base)
    expect([later.status, later.headers.get('retry-after')]).toEqual([503, '1'])
    expect(await later.json()).toMatchObject({ code: 'CLOSED', status: 503 })
  })

  it.each([
    ['?since=yesterday', 400, 'CURSOR_INVALID'],
    ['?since=a&since=b', 400, 'REQUEST_INVALID'],
    ['?limit=-1', 400, 'REQUEST_INVALID'],
    ['?limit=1e3', 400, 'REQUEST_INVALID'],
    ['?limit=', 400, 'REQUEST_INVALID'],
    ['?wait=-1', 400, 'REQUEST_INVALID'],
    ['?wait=soon&limit=0.5', 400, 'REQUEST_INVALID'],
    ['?since=gone.5-0', 410, 'STREAM_RECREATED'],
    ['?since=.99999999999999-0', 400, 'CURSOR_AHEAD'],
    ['?since=.5-0', 410, 'CURSOR_EXPIRED'],
  ])('answers nonsense (%s) with a problem document', async (query, status, code) => {
    const stream = bed.stream<Reading>()
    const millrace = await bed.open()
    await millrace.publish(stream, { n: 1 })
    const base = await listen(bed, nodeListener(feedHandler(openFeed(bed, millrace, stream))))
    const response = await fetch(`${base}/${query}`)
    expect([response.status, response.headers.get('content-type')]).toEqual([
      status,
      'application/problem+json',
    ])
    const type = `urn:millrace:problem:${code.toLowerCase().replaceAll('_', '-')}`
    expect(await response.json()).toMatchObject({ type, status, code })
    expect(response.headers.get('cache-control')).toBe('no-store')
    // The way on: without a cursor.
    expect(response.headers.get('link')).not.toMatch(/since/)
  })

  it('knows GET and HEAD only', async () => {
    const feed = openFeed(bed, await bed.open(), bed.stream<Reading>())
    const base = await listen(bed, nodeListener(feedHandler(feed)))
    for (const method of ['POST', 'DELETE', 'OPTIONS']) {
      const response = await fetch(base, { method })
      expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
    }
  })

  it('answers strange request lines without harm', async () => {
    const feed = openFeed(bed, await bed.open(), bed.stream<Reading>())
    const base = await listen(bed, nodeListener(feedHandler(feed)))
    for (const path of [
      '//evil.example/?limit=1',
      'http://evil.example/?limit=1',
      '/%zz?limit=1',
      '*',
    ]) {
      expect((await rawGet(base, path)).statusCode).toBe(200)
    }
  })

  it('tells clients nothing of what went wrong inside', async () => {
    const stream = bed.stream<Reading>()
    await append(bed, stream, [{ n: 1 }])
    const feed = openFeed(bed, await bed.open(), stream, {
      item: () => {
        throw new Error('a secret')
      },
    })
    const base = await listen(bed, nodeListener(feedHandler(feed)))
    const response = await fetch(base)
    expect(response.status).toBe(500)
    expect(await response.text()).not.toContain('secret')
  })
})

describe('A feed mounted in another server', () => {
  it('is a web-standard handler', async () => {
    const stream = bed.stream<Reading>()
    await append(bed, stream, [{ n: 1 }])
    const handler = feedHandler(openFeed(bed, await bed.open(), stream))
    const response = await handler(new Request('https://api.example.com/changes?limit=1'))
    expect(await response.json()).toMatchObject({ items: [{ n: 1 }] })
    expect(response.headers.get('link')).toMatch(
      /^<https:\/\/api\.example\.com\/changes\?limit=1&since=/,
    )
    const etag = response.headers.get('etag') ?? ''
    const headers = { 'if-none-match': etag }
    const again = await handler(new Request('https://api.example.com/?limit=1', { headers }))
    expect(again.status).toBe(304)
  })

  it('stands beside handlers of others in the adapter for Node', async () => {
    const gone = Promise.withResolvers<void>()
    const base = await listen(
      bed,
      nodeListener(async (request) => {
        if (new URL(request.url).pathname === '/fails') throw new Error('a secret')
        if (new URL(request.url).pathname === '/waits') {
          request.signal.addEventListener('abort', () => {
            gone.resolve()
          })
          await gone.promise
        }
        return Response.json({ agent: request.headers.get('x-agent') }, { status: 201 })
      }),
    )
    const response = await fetch(base, { headers: { 'x-agent': 'old' } })
    expect([response.status, await response.json()]).toEqual([201, { agent: 'old' }])
    const failed = await fetch(`${base}/fails`)
    expect([failed.status, (await failed.text()).includes('secret')]).toEqual([500, false])
    const client = new AbortController()
    const waiting = fetch(`${base}/waits`, { signal: client.signal })
    setImmediate(() => {
      client.abort()
    })
    await expect(waiting).rejects.toThrow(/abort/)
    const late = fetch(`${base}/waits`)
    gone.resolve()
    expect((await late).status).toBe(201)
  })

  it('works below a router of Express', async () => {
    const stream = bed.stream<Reading>()
    const millrace = await bed.open()
    const feed = openFeed(bed, millrace, stream)
    const router = express.Router()
    router.get('/changes', nodeListener(feedHandler(feed)))
    const app = express().use('/api', router)
    const base = await listen(bed, app)
    const waiting = fetch(`${base}/api/changes?wait=20`)
    await waitFor(() => feed.waiting === 1, { describe: 'the request to wait' })
    await millrace.publish(stream, { n: 1 })
    const response = await waiting
    expect(await response.json()).toMatchObject({ items: [{ n: 1 }] })
    expect(response.headers.get('link')).toContain(`${base}/api/changes?wait=20&since=`)
  })

  it('works in Fastify', async () => {
    const stream = bed.stream<Reading>()
    const millrace = await bed.open()
    const feed = openFeed(bed, millrace, stream)
    const listener = nodeListener(feedHandler(feed))
    const fastify = Fastify({ forceCloseConnections: true })
    fastify.get('/changes', (request, reply) => {
      reply.hijack()
      listener(request.raw, reply.raw)
    })
    const base = await fastify.listen({ port: 0, host: '127.0.0.1' })
    bed.onClose(() => fastify.close())
    const client = new AbortController()
    const gone = fetch(`${base}/changes?wait=20`, { signal: client.signal })
    await waitFor(() => feed.waiting === 1, { describe: 'the request to wait' })
    client.abort()
    await expect(gone).rejects.toThrow(/abort/)
    await waitFor(() => feed.waiting === 0, { describe: 'the wait to end' })
    await millrace.publish(stream, { n: 1 })
    const response = await fetch(`${base}/changes?wait=20`)
    expect(await response.json()).toMatchObject({ items: [{ n: 1 }] })
    expect((await fetch(`${base}/changes?limit=x`)).status).toBe(400)
  })
})
