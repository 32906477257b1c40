import { describe, expect, test } from 'vitest'
import { FLIGHT_EVENT_BYTES, flightEvent, flightEventAt } from '../src/load/flight-event.ts'
import { Latencies } from '../src/load/latencies.ts'
import { sendPaced } from '../src/load/pace.ts'
import { CHUNK_EVENTS, publishAll } from '../src/load/publish-all.ts'
import { Tally } from '../src/load/tally.ts'
import { timedEventAt } from '../src/load/timed-event.ts'

test('flight events satisfy their schema and are 200 bytes long from the first to the millionth', () => {
  for (const index of [0, 1, 999_999, 5_000_000]) {
    const event = flightEventAt(index)
    expect(JSON.stringify(event)).toHaveLength(FLIGHT_EVENT_BYTES)
    expect(flightEvent.parse(event)).toEqual(event)
  }
})

describe('a tally', () => {
  test('is complete when every event was seen', async () => {
    const tally = new Tally({ warmUp: 2, measured: 3 })
    for (let i = 0; i < 5; i++) tally.see(flightEventAt(i).sequence)
    await tally.complete
    expect(tally.finish().elapsedMs).toBeGreaterThanOrEqual(0)
  })

  test('does not take a repeated event for a lost one', () => {
    const tally = new Tally({ warmUp: 2, measured: 3 })
    for (const i of [0, 1, 2, 2, 4]) tally.see(flightEventAt(i).sequence)
    expect(() => tally.finish()).toThrow(/not each once/)
  })

  test('notices that events are missing', () => {
    const tally = new Tally({ warmUp: 1, measured: 3 })
    for (const i of [0, 1]) tally.see(flightEventAt(i).sequence)
    expect(() => tally.finish()).toThrow(/2 of 4/)
  })
})

describe('latencies', () => {
  test('leave the warm-up out', async () => {
    const latencies = new Latencies({ warmUp: 1, events: 3 })
    latencies.see({ sequence: 0, sentUs: 0 })
    latencies.see(timedEventAt(1))
    latencies.see(timedEventAt(2))
    await latencies.complete
    // The first event was sent at the start of the clock, whole seconds ago.
    expect(latencies.shareWithin(timedEventAt(0).sentUs / 2_000)).toBe(1)
  })

  test('have a curve that lies between the least and the greatest', async () => {
    const latencies = new Latencies({ warmUp: 0, events: 200 })
    for (let i = 0; i < 200; i++) latencies.see(timedEventAt(i))
    await latencies.complete
    const { p1Ms, p10Ms, p25Ms, p75Ms, p90Ms, p999Ms } = latencies.curve()
    const { p50, p95, p99, max } = latencies.spread()
    const rising = [0, p1Ms, p10Ms, p25Ms, p50, p75Ms, p90Ms, p95, p99, p999Ms]
    expect(rising).toEqual(rising.toSorted((one, other) => one - other))
    expect(p999Ms).toBe(max)
  })

  test('refuse events that come out of order or twice', async () => {
    const latencies = new Latencies({ warmUp: 0, events: 3 })
    latencies.see(timedEventAt(0))
    expect(() => {
      latencies.see(timedEventAt(0))
    }).toThrow(/event 0 came where 1 was due/)
    await expect(latencies.complete).rejects.toThrow(/came where/)
  })
})

test('publishing in chunks hands over every event once, the chunks in order', async () => {
  const seen: number[] = []
  const to = 2 * CHUNK_EVENTS + 7
  let underWay = 0
  await publishAll({ from: 3, to, chunksInFlight: 2 }, async (from, until) => {
    underWay += 1
    expect(underWay).toBeLessThanOrEqual(2)
    for (let i = from; i < until; i++) seen.push(i)
    await Promise.resolve()
    underWay -= 1
  })
  expect(seen).toEqual(Array.from({ length: to - 3 }, (_, index) => index + 3))
})

test('a paced sender sends everything, in groups, and does not wait for answers', async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  const groups: [number, number][] = []
  await sendPaced({ perSecond: 1_000, events: 5, atOnce: 2 }, (from, to) => {
    groups.push([from, to])
    if (groups.length === 3) resolve()
    return promise
  })
  expect(groups).toEqual([
    [0, 2],
    [2, 4],
    [4, 5],
  ])
})
