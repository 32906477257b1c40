import { describe, expect, test } from 'vitest'
import { loadFlightRecords, parseFlightRecords } from '../src/flights/flight-records.ts'
import { flightUpdates, stampHeaders, stampOf, updateOf } from '../src/flights/flight-updates.ts'
import { Timetable } from '../src/flights/timetable.ts'

describe('flight records', () => {
  test('are read in the order of departure', () => {
    const text = JSON.stringify([
      { date: '2001/01/01 08:47', delay: 0, distance: 1_609, origin: 'SJC', destination: 'IAH' },
      { date: '2001/01/01 06:55', delay: -19, distance: 1_797, origin: 'LAX', destination: 'BNA' },
    ])
    const [first, second] = parseFlightRecords(text)
    expect(first).toEqual({
      origin: 'LAX',
      destination: 'BNA',
      departureMs: Date.UTC(2001, 0, 1, 6, 55),
      delayMinutes: -19,
      distanceMiles: 1_797,
    })
    expect(second?.origin).toBe('SJC')
  })

  test('are refused when they are something else', () => {
    expect(() => parseFlightRecords('[{"delay":0,"distance":1452,"time":0.0}]')).toThrow('date')
  })

  test('that the package brings can all be published as flight updates', async () => {
    const records = await loadFlightRecords()
    expect(records).toHaveLength(20_000)
    const verdicts = await Promise.all(
      records.map(async (one) => flightUpdates.schema?.['~standard'].validate(updateOf(one))),
    )
    expect(verdicts.filter((verdict) => verdict?.issues !== undefined)).toEqual([])
  })
})

describe('the stamp of an event', () => {
  test('comes through its headers', () => {
    const stamp = { sequence: 41, publishedAtMs: 1_700_000_000_000.125 }
    expect(stampOf({ id: '1-0', headers: stampHeaders(stamp) })).toEqual(stamp)
  })

  test('is missed when somebody else has published the event', () => {
    expect(() => stampOf({ id: '1-0', headers: {} })).toThrow('event 1-0')
  })
})

describe('the timetable', () => {
  const flights = [
    ['LAX', 'BNA', '06:55', 1_797],
    ['LAX', 'DFW', '08:00', 1_235],
    ['LAX', 'BNA', '20:00', 1_797],
    ['DFW', 'BNA', '11:15', 631],
    ['DFW', 'BNA', '12:00', 631],
  ] as const
  const records = flights.map(([origin, destination, time, distanceMiles]) => ({
    origin,
    destination,
    departureMs: Date.parse(`2001-01-01T${time}:00Z`),
    delayMinutes: 0,
    distanceMiles,
  }))
  const delayed = {
    origin: 'LAX',
    destination: 'BNA',
    scheduledDeparture: '2001-01-01T06:55:00.000Z',
    delayMinutes: 90,
    distanceMiles: 1_797,
  }

  test('offers what arrives first, and leaves time to change', () => {
    const offers = new Timetable(records).alternatives(delayed, 3)
    const departures = offers.map(({ legs }) =>
      legs.map((leg) => new Date(leg.departureMs).toISOString().slice(11, 16)),
    )
    expect(departures).toEqual([['08:00', '12:00'], ['20:00']])
  })

  test('offers nothing where nothing flies', () => {
    expect(new Timetable(records).alternatives({ ...delayed, origin: 'HNL' }, 3)).toEqual([])
  })
})
