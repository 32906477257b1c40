import { Redis } from 'ioredis'
import { serve } from '../harness/program.ts'
import { Countdown } from '../load/countdown.ts'
import { timedEvent } from '../load/timed-event.ts'
import type { FollowersProgram, FollowersTask } from '../resources/program.ts'
import { type Page, PollLoops } from './poll-loop.ts'

// Pollers that ask Redis itself, XRANGE after a cursor, over one connection for each process,
// and validate what they get as consumers do.
const COUNT = 1_000

const countdown = new Countdown()
let loops: PollLoops<string>
let failed: Promise<never>

serve({
  async open({ followers, place }: FollowersTask) {
    const redis = new Redis(place.url)
    const key = `${place.prefix}{timed-0}timed-0`
    loops = new PollLoops(
      '-',
      (cursor) => poll(redis, key, cursor),
      (event) => {
        timedEvent.parse(event)
        countdown.see()
      },
    )
    failed = Promise.race(Array.from({ length: followers }, () => loops.run()))
    failed.catch(() => undefined)
    await redis.ping()
  },

  pollEvery(intervalMs: number) {
    loops.pollEvery(intervalMs)
  },

  handled: (events: number) => Promise.race([countdown.reaches(events), failed]),
} satisfies FollowersProgram)

async function poll(redis: Redis, key: string, after: string): Promise<Page<string>> {
  const entries = await redis.xrange(key, after, '+', 'COUNT', COUNT)
  const events = entries.map(([, fields]): unknown =>
    JSON.parse(fields[fields.indexOf('data') + 1] ?? ''),
  )
  const last = entries.at(-1)?.[0]
  const cursor = last === undefined ? after : `(${last}`
  return { events, cursor, isFull: entries.length === COUNT }
}
