import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { matrix } from '../conformance/servers.ts'
import { SweepBed } from './sweep-bed.ts'

// Days of retention by explicit ids, on the default server and on the newest one. The clock of a server cannot
// be moved, so time passes by the age that is allowed: what is 24 hours old at a moment of the simulation is what
// lies that much further back now.

const HOUR_MS = 3_600_000
const HOURS = 72
const EVENT_EVERY_MS = 20_000
const PER_HOUR = HOUR_MS / EVENT_EVERY_MS
/** What one node of a stream holds by default. */
const NODE_EVENTS = 100

for (const entry of matrix.filter(({ arrangement }) => arrangement === 'standalone')) {
  describe.skipIf(entry.binary === undefined)(
    `24 hours of retention, on ${entry.title}${entry.reason ?? ''}`,
    () => {
      const bed = new SweepBed()
      beforeAll(() => bed.start({ binary: entry.binary }))
      afterAll(() => bed.end())

      it('keep what is younger within one node, and count for everybody exactly what it lost', async () => {
        await bed.reset()
        const beginMs = (await bed.nowMs()) - (HOURS + 1) * HOUR_MS
        const idAt = (index: number): string => `${beginMs + index * EVENT_EVERY_MS}-0`
        const removedUnread = new Map([
          ['away', 0],
          ['nightly', 0],
          ['live', 0],
        ])
        // What each has processed is a beginning of the stream: up to this index, that one excluded.
        const processed = { away: 0, nightly: 0, live: 0 }
        let added = 0
        let removed = 0
        await bed.consumer('live', '0-0')
        await bed.consumer('away', '0-0')
        await bed.group('nightly', '0-0')
        for (let hour = 1; hour <= HOURS; hour++) {
          await bed.add(Array.from({ length: PER_HOUR }, (_, i) => idAt(added + i)))
          added += PER_HOUR
          await bed.redis.hset(bed.keys.state('live'), 'position', idAt(added - 1))
          processed.live = added
          if (hour % 24 === 23) processed.nightly += await workInTheNight(bed, processed, removed)

          const simulatedNowMs = beginMs + hour * HOUR_MS
          const maxAgeMs = (await bed.nowMs()) - simulatedNowMs + 24 * HOUR_MS
          const { expired } = await bed.sweep({ maxAgeMs })
          const left = await bed.redis.xlen(bed.keys.stream)
          const gone = added - left
          for (const [name, until] of Object.entries(processed)) {
            const lost = Math.max(gone - Math.max(until, removed), 0)
            expect([hour, name, expired.get(name) ?? 0]).toEqual([hour, name, lost])
            removedUnread.set(name, (removedUnread.get(name) ?? 0) + lost)
            if (name === 'nightly') processed.nightly = Math.max(until, gone)
          }
          removed = gone
          const young = Math.min(added, 24 * PER_HOUR)
          // By the time of the sweep the cutoff has moved on by what the test itself took.
          expect(left).toBeGreaterThanOrEqual(young - 1)
          expect(left).toBeLessThanOrEqual(young + NODE_EVENTS)
        }
        expect(removedUnread.get('live')).toBe(0)
        expect(removedUnread.get('away')).toBe(removed)
        expect(removedUnread.get('nightly')).toBeGreaterThan(0)
        for (const [name, lost] of removedUnread) {
          expect((await bed.state(name))['expired'] ?? '0').toBe(String(lost))
        }
        expect((await bed.redis.xpending(bed.keys.stream, 'nightly'))[0]).toBe(0)
      }, 120_000)
    },
  )
}

/** A group that works an hour a day, and not on all that is there; answers how many it has moved on. */
async function workInTheNight(
  bed: SweepBed,
  { nightly }: { readonly nightly: number },
  removed: number,
): Promise<number> {
  const begin = Math.max(nightly, removed)
  const ids = await bed.read('nightly', 2_000)
  if (ids.length > 0) await bed.redis.xack(bed.keys.stream, 'nightly', ...ids)
  return begin + ids.length - nightly
}
