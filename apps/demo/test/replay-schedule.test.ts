import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { FlightRecord } from '../src/flights/flight-records.ts'
import { ReplaySchedule } from '../src/flights/replay-schedule.ts'

const HOUR_MS = 3_600_000

function recordAt(departureMs: number): FlightRecord {
  return { origin: 'LAX', destination: 'BNA', departureMs, delayMinutes: 0, distanceMiles: 1_797 }
}

describe('the replay schedule', () => {
  test('keeps the proportions of the gaps between departures', () => {
    const records = [0, 1, 3, 4].map((hours) => recordAt(hours * HOUR_MS))
    const schedule = new ReplaySchedule(records, 1)
    const dues = [0, 1, 2, 3].map((sequence) => schedule.dueMs(sequence))
    expect(dues[0]).toBe(0)
    expect(dues[2]).toBeCloseTo((dues[1] ?? 0) * 3)
    expect(dues[3]).toBeCloseTo((dues[1] ?? 0) * 4)
  })

  test('publishes at the wanted rate on average and never goes back in time, over all rounds', () => {
    const gaps = fc.array(fc.integer({ min: 1, max: 1_000 }), { minLength: 1, maxLength: 50 })
    fc.assert(
      fc.property(gaps, fc.integer({ min: 1, max: 5_000 }), (gapsMs, rate) => {
        let atMs = 978_307_200_000
        const records = [recordAt(atMs), ...gapsMs.map((gapMs) => recordAt((atMs += gapMs)))]
        const schedule = new ReplaySchedule(records, rate)
        for (let sequence = 1; sequence < records.length * 3; sequence += 1) {
          expect(schedule.dueMs(sequence)).toBeGreaterThan(schedule.dueMs(sequence - 1))
        }
        const roundsMs = schedule.dueMs(records.length * 3)
        expect(roundsMs).toBeCloseTo((records.length * 3 * 1_000) / rate, 3)
      }),
    )
  })

  test('starts over after the last record', () => {
    const records = [recordAt(0), recordAt(HOUR_MS)]
    expect(new ReplaySchedule(records, 10).record(5)).toBe(records[1])
  })

  test('refuses to replay nothing', () => {
    expect(() => new ReplaySchedule([], 10)).toThrow('no flight records')
  })
})
