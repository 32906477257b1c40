import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect } from '@millrace/runtime'
import { createFeed, type CursorFeed, feedHandler, nodeListener } from '@millrace/poll-adapter'
import { serve } from '../harness/program.ts'
import { type Lap, stopwatch } from '../load/stopwatch.ts'
import { spreadOf } from '../harness/statistics.ts'
import { nowUs, type TimedEvent } from '../load/timed-event.ts'
import { timedStream } from '../millrace/timed.ts'
import type { AnsweringProgram } from './program.ts'

// A cursor feed with defaults, mounted in Node's own server.
let feed: CursorFeed<TimedEvent>
let stop: () => Lap

serve({
  async listen({ place }) {
    const millrace = await connect(place.url, { prefix: place.prefix })
    feed = createFeed(millrace, timedStream())
    await feed.ready()
    const server = createServer(nodeListener(feedHandler(feed)))
    await new Promise<void>((resolve) => {
      server.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 }, resolve)
    })
    stop = stopwatch()
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` }
  },
  waiting: () => Promise.resolve({ polls: feed.waiting }),
  async pollHere({ pollers, events, warmUp }) {
    const latenciesMs: number[] = []
    const pollUntilEnd = async (): Promise<number> => {
      let since: number | string | null = null
      let requests = 0
      for (let due = 0; due < events; ) {
        const page = await feed.poll({ since, waitMs: 30_000 })
        const arrivedUs = nowUs()
        requests += 1
        for (const { sequence, sentUs } of page.items) {
          if (sequence !== due) throw new Error(`event ${sequence} came where ${due} was due`)
          due += 1
          if (sequence >= warmUp) latenciesMs.push((arrivedUs - sentUs) / 1_000)
        }
        since = page.cursor
      }
      return requests
    }
    const requests = await Promise.all(Array.from({ length: pollers }, pollUntilEnd))
    const { p50, p95, p99, max } = spreadOf(latenciesMs)
    const sum = requests.reduce((all, one) => all + one, 0)
    return { p50Ms: p50, p95Ms: p95, p99Ms: p99, maxMs: max, requests: sum }
  },
  spent: () => Promise.resolve({ cpuMs: stop().cpuMs }),
} satisfies AnsweringProgram)
