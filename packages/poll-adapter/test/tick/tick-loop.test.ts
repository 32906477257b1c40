import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { waitFor } from '@millrace/testkit'
import { describe, expect, it } from 'vitest'
import { pollChannels } from '../../src/diagnostics.ts'
import { isPollAdapterError } from '../../src/errors.ts'
import { tickLoop } from '../../src/tick/tick-loop.ts'

interface Row {
  readonly n: number
}

/** An old endpoint: rows after `since`, at most `limit`. */
async function oldEndpoint(rows: readonly Row[]) {
  const asked: (string | null)[] = []
  const server = createServer((request, response) => {
    const { searchParams } = new URL(request.url ?? '', 'http://localhost')
    const since = searchParams.get('since')
    asked.push(since)
    const items = rows
      .filter(({ n }) => n > Number(since ?? -1))
      .slice(0, Number(searchParams.get('limit')))
    const cursor = items.at(-1)?.n ?? since
    const hasMore = (items.at(-1)?.n ?? Infinity) < (rows.at(-1)?.n ?? -1)
    response.end(JSON.stringify({ items, cursor, hasMore }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    asked,
    fetch: async (
      cursor: number | string | undefined,
      context: { signal: AbortSignal; limit: number },
    ) => {
      const since = cursor === undefined ? '' : `&since=${cursor}`
      const url = `http://127.0.0.1:${port}/rows?limit=${context.limit}${since}`
      const response = await fetch(url, { signal: context.signal })
      return (await response.json()) as { items: Row[]; cursor: number; hasMore: boolean }
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

describe('a tick loop', () => {
  it('hands over what its source has, in order and page by page, and then what comes', async () => {
    const rows: Row[] = Array.from({ length: 25 }, (_, n) => ({ n }))
    await using endpoint = await oldEndpoint(rows)
    const handled: number[] = []
    await using loop = tickLoop<Row>({
      name: 'rows',
      every: 20,
      pageSize: 10,
      fetch: endpoint.fetch,
      handler: async ({ n }) => {
        await Promise.resolve()
        handled.push(n)
      },
    }).start()
    await waitFor(() => handled.length === 25, { describe: 'what was there' })
    rows.push({ n: 25 }, { n: 26 })
    await waitFor(() => handled.length === 27, { describe: 'what came' })
    expect(handled).toEqual(rows.map(({ n }) => n))
    await loop.close()
    expect(endpoint.asked.slice(0, 3)).toEqual([null, '9', '19'])
  })

  it('asks again for a page that was not handled, and tells of it', async () => {
    await using endpoint = await oldEndpoint([{ n: 0 }, { n: 1 }])
    const failures: Error[] = []
    const off = pollChannels.pollerFailed.subscribe(({ error }) => failures.push(error))
    const handled: number[] = []
    const saved: unknown[] = []
    await using loop = tickLoop<Row>({
      name: 'rows',
      every: 20,
      fetch: endpoint.fetch,
      cursor: { load: () => undefined, save: (cursor) => saved.push(cursor) },
      handler: ({ n }) => {
        handled.push(n)
        if (handled.length === 2) throw new Error('not this time')
      },
    }).start()
    await waitFor(() => saved.length === 1, { describe: 'the cursor' })
    off()
    expect(handled).toEqual([0, 1, 0, 1])
    expect(failures.map(({ message }) => message)).toEqual(['not this time'])
    expect(saved).toEqual([1])
    await loop.close()
  })

  it('begins where its cursor stands', async () => {
    await using endpoint = await oldEndpoint([{ n: 0 }, { n: 1 }, { n: 2 }])
    const handled: number[] = []
    await using loop = tickLoop<Row>({
      name: 'rows',
      every: 60_000,
      fetch: endpoint.fetch,
      cursor: { load: () => Promise.resolve(1), save: () => undefined },
      handler: ({ n }) => {
        handled.push(n)
      },
    }).start()
    await waitFor(() => handled.length === 1, { describe: 'what is after the cursor' })
    expect(handled).toEqual([2])
    await loop.close()
  })

  it('never overlaps its ticks, and asks at once when it is poked', async () => {
    let running = 0
    let most = 0
    let asked = 0
    await using loop = tickLoop<Row>({
      name: 'rows',
      every: 60_000,
      fetch: async () => {
        most = Math.max(most, ++running)
        await new Promise((resolve) => setImmediate(resolve))
        running--
        asked++
        return { items: [] }
      },
      handler: () => undefined,
    }).start()
    for (let i = 1; i <= 3; i++) {
      await waitFor(() => asked === i, { describe: 'the answer' })
      loop.poke()
    }
    await waitFor(() => asked === 4, { describe: 'the last answer' })
    expect(most).toBe(1)
  })

  it('goes on after its source has failed, or never answered', async () => {
    let asked = 0
    const failures: Error[] = []
    const off = pollChannels.pollerFailed.subscribe(({ error }) => failures.push(error))
    await using loop = tickLoop<Row>({
      name: 'rows',
      every: 10,
      fetchTimeoutMs: 10,
      fetch: () => {
        asked++
        if (asked === 1) throw new Error('refused')
        if (asked === 2) return new Promise<never>(() => undefined)
        return { items: [] }
      },
      handler: () => undefined,
    }).start()
    await waitFor(() => asked >= 4, { describe: 'further ticks' })
    off()
    await loop.close()
    expect(failures).toHaveLength(2)
    expect(failures.every((error) => isPollAdapterError(error, 'SOURCE_FAILED'))).toBe(true)
  })

  it('waits for the handler that runs when it is closed, and hands over nothing more', async () => {
    const entered = Promise.withResolvers<void>()
    const leave = Promise.withResolvers<void>()
    const handled: number[] = []
    const loop = tickLoop<Row>({
      name: 'rows',
      every: 10,
      fetch: () => ({ items: [{ n: 0 }, { n: 1 }], cursor: 1 }),
      handler: async ({ n }) => {
        entered.resolve()
        await leave.promise
        handled.push(n)
      },
    }).start()
    await entered.promise
    const closed = loop.close()
    leave.resolve()
    await closed
    expect(handled).toEqual([0])
    expect(() => loop.start()).toThrow(
      expect.toSatisfy((error) => isPollAdapterError(error, 'CLOSED')),
    )
  })

  it('has all problems of its options in one error', () => {
    try {
      tickLoop({ name: '', every: 0, color: 'red' } as never)
      expect.unreachable()
    } catch (error) {
      expect(isPollAdapterError(error, 'OPTIONS_INVALID') && error.issues.length).toBe(5)
    }
  })
})
