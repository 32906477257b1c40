import { type Event, defineStream, type EventStream } from '@millrace/runtime'
import { z } from 'zod'
import type { FlightRecord } from './flight-records.ts'

const airport = z.string().length(3)

const FlightUpdate = z.object({
  origin: airport,
  destination: airport,
  scheduledDeparture: z.iso.datetime(),
  delayMinutes: z.int(),
  distanceMiles: z.number().positive(),
})

export type FlightUpdate = z.infer<typeof FlightUpdate>

/** What is known of each flight at its departure. Flights of one route belong together. */
export const flightUpdates: EventStream<FlightUpdate, FlightUpdate> = defineStream('flights', {
  schema: FlightUpdate,
  key: ({ origin, destination }) => `${origin}-${destination}`,
})

export function updateOf(record: FlightRecord): FlightUpdate {
  const { origin, destination, departureMs, delayMinutes, distanceMiles } = record
  const scheduledDeparture = new Date(departureMs).toISOString()
  return { origin, destination, scheduledDeparture, delayMinutes, distanceMiles }
}

/**
 * What the proof needs travels in headers, beside the payload: the how-manieth event it is, from 0, and
 * when it was handed to the producer.
 */
export interface Stamp {
  readonly sequence: number
  readonly publishedAtMs: number
}

export function stampHeaders({ sequence, publishedAtMs }: Stamp): Record<string, string> {
  return { sequence: String(sequence), 'published-at-ms': publishedAtMs.toFixed(3) }
}

/** @throws Error when the event was published by somebody else */
export function stampOf({ id, headers }: Pick<Event, 'headers' | 'id'>): Stamp {
  const sequence = Number(headers['sequence'])
  const publishedAtMs = Number(headers['published-at-ms'])
  if (!Number.isSafeInteger(sequence) || !Number.isFinite(publishedAtMs)) {
    throw new Error(`event ${id} does not carry the headers of this demo`)
  }
  return { sequence, publishedAtMs }
}
