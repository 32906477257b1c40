import { defineStream, type EventStream } from '@millrace/runtime'
import type { FlightRow } from './flight-table.ts'

/** The stream to which the services move: the rows of the flight system's table, in their order. */
export const flightChanges: EventStream<FlightRow, FlightRow> = defineStream<FlightRow>(
  'flight-changes',
  { key: ({ update: { origin, destination } }) => `${origin}-${destination}` },
)

/** The name of the bridge that fills it. */
export const BRIDGE = 'flight-system'

/**
 * What may be concluded from the sequence numbers: they rise in the order of the commits, because one
 * process gives them, and each row is written once.
 */
export const flightCursors = {
  cursors: 'exact',
  cursorOf: ({ sequence }: FlightRow): number => sequence,
  key: ({ sequence }: FlightRow): string => String(sequence),
  version: (): number => 1,
} as const
