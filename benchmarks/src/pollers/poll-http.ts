import { Agent, get } from 'node:http'
import { serve } from '../harness/program.ts'
import { Countdown } from '../load/countdown.ts'
import { timedEvent } from '../load/timed-event.ts'
import type { FollowersProgram, FollowersTask } from '../resources/program.ts'
import { type Page, PollLoops } from './poll-loop.ts'

// Pollers of the HTTP API as a careful person writes them: node:http, whose client costs less than fetch,
// with connections that are kept, a cursor, and the validation of a consumer.
const LIMIT = 1_000
const KEPT_MS = 60_000

const countdown = new Countdown()
let loops: PollLoops<number>
let failed: Promise<never>

serve({
  async open({ followers, apiPort }: FollowersTask) {
    // The pollers of a process share its connections, of which there are never more than pollers.
    const agent = new Agent({ keepAlive: true, keepAliveMsecs: KEPT_MS, maxFreeSockets: followers })
    loops = new PollLoops(
      0,
      (cursor) => poll(agent, apiPort, cursor),
      (event) => {
        timedEvent.parse(event)
        countdown.see()
      },
    )
    failed = Promise.race(Array.from({ length: followers }, () => loops.run()))
    failed.catch(() => undefined)
    await poll(agent, apiPort, 0)
  },

  pollEvery(intervalMs: number) {
    loops.pollEvery(intervalMs)
  },

  handled: (events: number) => Promise.race([countdown.reaches(events), failed]),
} satisfies FollowersProgram)

async function poll(agent: Agent, port: number, after: number): Promise<Page<number>> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const path = `/events?after=${after}&limit=${LIMIT}`
  get({ host: '127.0.0.1', port, path, agent }, (response) => {
    let text = ''
    response.setEncoding('utf8')
    response.on('data', (chunk: string) => {
      text += chunk
    })
    response.on('error', reject)
    response.on('end', () => {
      if (response.statusCode === 200) resolve(text)
      else reject(new Error(`the poll API answered ${String(response.statusCode)}: ${text}`))
    })
  }).on('error', reject)
  const { events, cursor } = JSON.parse(await promise) as {
    readonly events: readonly unknown[]
    readonly cursor: number
  }
  return { events, cursor, isFull: events.length === LIMIT }
}
