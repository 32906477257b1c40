import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'

/** One flight as the Bureau of Transportation Statistics recorded it, in a sample of early 2001. */
export interface FlightRecord {
  readonly origin: string
  readonly destination: string
  /** When it was to depart. The records name no time zone; all are taken as if in one. */
  readonly departureMs: number
  /** Negative when it was early. */
  readonly delayMinutes: number
  readonly distanceMiles: number
}

const airport = z.string().regex(/^[A-Z0-9]{3}$/)

const rawRecords = z.array(
  z.object({
    date: z.string().regex(/^\d{4}\/\d\d\/\d\d \d\d:\d\d$/),
    delay: z.int(),
    distance: z.number().positive(),
    origin: airport,
    destination: airport,
  }),
)

/** The records that the package vega-datasets brings, in the order of their departure times. */
export async function loadFlightRecords(): Promise<readonly FlightRecord[]> {
  const file = new URL('../data/flights-20k.json', import.meta.resolve('vega-datasets'))
  return parseFlightRecords(await readFile(fileURLToPath(file), 'utf8'))
}

/** @throws Error when the text is not a list of flight records */
export function parseFlightRecords(text: string): readonly FlightRecord[] {
  return rawRecords
    .parse(JSON.parse(text))
    .map(({ date, delay, distance, origin, destination }) => ({
      origin,
      destination,
      departureMs: Date.parse(`${date.replaceAll('/', '-').replace(' ', 'T')}Z`),
      delayMinutes: delay,
      distanceMiles: distance,
    }))
    .toSorted((one, other) => one.departureMs - other.departureMs)
}
