import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Redis } from 'ioredis'
import { serve } from '../harness/program.ts'
import { type Lap, stopwatch } from '../load/stopwatch.ts'
import type { AnsweringProgram } from './program.ts'

// The floor: one blocked XREAD, and a body made once that is written to everyone who waits. It knows no
// cursors but the last id, forgets what nobody waited for, and checks nothing.
const waiting = new Set<ServerResponse>()
let bodies: { readonly id: string; readonly item: string }[] = []
let stop: () => Lap

serve({
  async listen({ place }) {
    const redis = new Redis(place.url)
    void follow(redis, `${place.prefix}{timed-0}timed-0`)
    const server = createServer((request, response) => {
      const since = new URL(request.url ?? '/', 'http://localhost').searchParams.get('since') ?? ''
      const at = since === '' ? -1 : bodies.findIndex(({ id }) => id === since)
      if (at === bodies.length - 1) {
        waiting.add(response)
        response.once('close', () => waiting.delete(response))
      } else {
        response.end(bodyOf(bodies.slice(at + 1)))
      }
    })
    await new Promise<void>((resolve) => {
      server.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 }, resolve)
    })
    stop = stopwatch()
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` }
  },
  waiting: () => Promise.resolve({ polls: waiting.size }),
  spent: () => Promise.resolve({ cpuMs: stop().cpuMs }),
} satisfies Omit<AnsweringProgram, 'pollHere'>)

async function follow(redis: Redis, key: string): Promise<void> {
  let last = '0-0'
  for (;;) {
    const reply = await redis.xread('COUNT', 100, 'BLOCK', 2_000, 'STREAMS', key, last)
    const entries = reply?.[0]?.[1] ?? []
    if (entries.length === 0) continue
    const fresh = entries.map(([id, fields]) => ({
      id,
      item: fields[fields.indexOf('data') + 1] ?? '',
    }))
    bodies = [...bodies, ...fresh].slice(-1_000)
    last = fresh.at(-1)?.id ?? last
    const body = bodyOf(fresh)
    const answered = [...waiting]
    waiting.clear()
    for (const response of answered) response.end(body)
  }
}

function bodyOf(some: typeof bodies): string {
  const cursor = JSON.stringify(some.at(-1)?.id ?? '')
  return `{"items":[${some.map(({ item }) => item).join()}],"cursor":${cursor},"hasMore":false}`
}
