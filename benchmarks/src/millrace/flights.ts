import { defineStream, type EventStream } from '@millrace/runtime'
import { type FlightEvent, flightEvent } from '../load/flight-event.ts'

/** The stream of the throughput benchmark: validated, all options at their defaults. */
export const flights: EventStream<FlightEvent, FlightEvent> = defineStream('flights', {
  schema: flightEvent,
})
