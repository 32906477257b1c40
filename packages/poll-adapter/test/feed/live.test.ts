import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { isMillraceError } from '@millrace/runtime'
import {
  type CursorFeed,
  type CursorForm,
  fieldCursor,
  isPollAdapterError,
  positionCursor,
  timeCursor,
} from '@millrace/poll-adapter'
import { useRedis } from '../open-millrace.ts'
import { openFeed, range, type Reading, throughJson } from './feed-bed.ts'

const bed = useRedis()

const EVENTS = 3_000

const at = ({ data }: { readonly data: Reading }): number | string | undefined => data.at

const forms: Readonly<Record<string, () => CursorForm<Reading>>> = {
  positions: positionCursor,
  milliseconds: () => timeCursor(),
  'milliseconds, always plain': () => timeCursor({ ties: 'whole', settleMs: 60 }),
  dates: () => timeCursor({ form: 'iso' }),
  seconds: () => timeCursor({ form: 's' }),
  'numbers that are unique': () => fieldCursor({ of: at, as: 'number', ties: 'unique' }),
  'opaque texts, extended': () =>
    fieldCursor({ of: ({ data }) => `page ${Math.floor(data.n / 7)}`, as: 'text', ties: 'extend' }),
}

/** Events come in bursts, so that many share a millisecond; connections break now and then. */
async function publishAll(stream: { readonly name: string }): Promise<void> {
  for (let n = 0; n < EVENTS; ) {
    const burst = 1 + ((n * 7) % 23)
    const pipeline = bed.redis.pipeline()
    for (const i of range(Math.min(burst, EVENTS - n), n))
      pipeline.xadd(bed.key(stream), '*', 'data', JSON.stringify({ n: i, at: i * 3 }))
    await pipeline.exec()
    n += burst
    await turn()
    if (n % 500 < burst) await bed.redis.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
  }
}

/** An old client behind a load balancer: each poll may go to another process. */
async function pollUntilEnd(
  feeds: readonly CursorFeed<Reading>[],
  seed: number,
): Promise<number[]> {
  const seen: number[] = []
  let since: number | string | null = null
  for (let call = seed; seen.at(-1) !== EVENTS - 1; call++) {
    const feed = feeds[(call * 7 + seed) % feeds.length]
    try {
      const page = await feed?.poll({
        since,
        limit: 1 + ((call * 13) % 40),
        waitMs: call % 3 === 0 ? 0 : 200,
      })
      seen.push(...(page?.items ?? []).map(({ n }) => n))
      since = throughJson(page?.cursor ?? null)
    } catch (error) {
      // A client asks again with the same cursor when it is told to.
      const isPassing =
        isMillraceError(error, 'UNAVAILABLE') || isPollAdapterError(error, 'UNAVAILABLE')
      if (!isPassing) throw error
    }
  }
  return seen
}

describe.each(Object.entries(forms))(
  'While events pour in and connections break, %s',
  (_, form) => {
    it('lead pollers through two processes, each event once and in order', async () => {
      const stream = bed.stream<Reading>()
      const [first, second] = [await bed.open(), await bed.open()]
      const feeds = [
        openFeed(bed, first, stream, { cursor: form(), start: 'earliest' }),
        // Little memory: mostly read from Redis.
        openFeed(bed, second, stream, { cursor: form(), memoryEvents: 50 }),
      ]
      const [, ...seen] = await Promise.all([
        publishAll(stream),
        ...range(6).map((seed) => pollUntilEnd(feeds, seed)),
      ])
      for (const numbers of seen) expect(numbers).toEqual(range(EVENTS))
    })
  },
)
