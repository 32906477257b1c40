import { z } from 'zod'

/** What the benchmarks publish: an update of a flight that is 200 bytes long as JSON. */
export const flightEvent = z.object({
  sequence: z.number().int(),
  flight: z.string(),
  origin: z.string().length(3),
  destination: z.string().length(3),
  scheduledMs: z.number().int(),
  delayMinutes: z.number(),
  status: z.enum(['scheduled', 'departed', 'landed']),
  remark: z.string(),
})

export type FlightEvent = z.infer<typeof flightEvent>

export const FLIGHT_EVENT_BYTES = 200

/** Sequences begin here, so that all have the same number of digits. */
const FIRST_SEQUENCE = 1_000_000

const REMARK = 'x'.repeat(FLIGHT_EVENT_BYTES)
const REMARK_LENGTH =
  FLIGHT_EVENT_BYTES - JSON.stringify(flightEventWith(FIRST_SEQUENCE, '')).length

/** The event at `index` of a run, from 0. */
export function flightEventAt(index: number): FlightEvent {
  return flightEventWith(FIRST_SEQUENCE + index, REMARK.slice(0, REMARK_LENGTH))
}

/** The sum of the sequences of the first `events` events: whoever got another one lost or repeated some. */
export function sumOfSequences(events: number): number {
  return events * FIRST_SEQUENCE + (events * (events - 1)) / 2
}

function flightEventWith(sequence: number, remark: string): FlightEvent {
  return {
    sequence,
    flight: 'MR1042',
    origin: 'ORD',
    destination: 'LAX',
    scheduledMs: 1_700_000_000_000 + sequence,
    delayMinutes: 10 + (sequence % 80),
    status: 'departed',
    remark,
  }
}
