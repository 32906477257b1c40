import type { Millrace } from '@millrace/runtime'
import { type FlightEvent, flightEventAt } from '../load/flight-event.ts'
import { flights } from './flights.ts'

export const CHUNKS_IN_FLIGHT = 8

/**
 * Publishing as users do it, with default options: validated by the schema, each event appended once even
 * if a batch has to be sent again. The chunks are those of the floor.
 */
export async function publishFlights(
  millrace: Millrace,
  from: number,
  to: number,
  made?: () => void,
): Promise<void> {
  const events: FlightEvent[] = []
  for (let i = from; i < to; i++) {
    events.push(flightEventAt(i))
    made?.()
  }
  const results = await millrace.publish(flights, events)
  if (results.length !== events.length) throw new Error('not every event was answered')
}
